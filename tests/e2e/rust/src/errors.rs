//! Refusals: an error that the model knows has a type, which a program matches; any other has its code.

use aws_sdk_secretsmanager::operation::create_secret::CreateSecretError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_secretsmanager::primitives::Blob;

use crate::place::{Place, refused, step, value};

pub async fn typed(place: Place) {
    let client = &place.client;
    let made = place.secret().await;
    let name = made.name().unwrap();

    step("a name that is taken");
    let taken = client.create_secret().name(name).secret_string("two").send().await;
    let taken = refused(taken, "ResourceExistsException", "already exists");
    assert!(
        matches!(&taken, CreateSecretError::ResourceExistsException(e) if e.message().is_some()),
        "{taken:?}"
    );
    assert_eq!(value(client, name).await, "one", "it keeps its value");

    step("a secret that is not there");
    let missing = client.get_secret_value().secret_id(place.new_name()).send().await;
    let missing =
        refused(missing, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
    assert!(matches!(missing, GetSecretValueError::ResourceNotFoundException(_)), "{missing:?}");

    step("text and bytes at once");
    let both = client.put_secret_value().secret_id(name).secret_string("two").secret_binary(Blob::new([2]));
    let both = refused(both.send().await, "InvalidParameterException", "both a binary");
    assert!(both.is_invalid_parameter_exception());

    step("a name that cannot be");
    // The model does not know this error, so there is no type for it.
    let wrong = refused(
        client.create_secret().name("not a name?").send().await,
        "ValidationException",
        "Invalid name.",
    );
    assert!(!wrong.is_invalid_parameter_exception() && !wrong.is_invalid_request_exception());
}

pub async fn repeated(place: Place) {
    const TOKEN: &str = "a-token-that-the-program-has-chosen-itself";
    let client = &place.client;
    let made = place.secret().await;
    let id = made.arn().unwrap();
    let put =
        |text: &str| client.put_secret_value().secret_id(id).secret_string(text).client_request_token(TOKEN);

    step("put twice");
    for _ in 0..2 {
        assert_eq!(
            put("two").send().await.unwrap().version_id(),
            Some(TOKEN),
            "the token is the version's id"
        );
    }
    let listed =
        client.list_secret_version_ids().secret_id(id).include_deprecated(true).send().await.unwrap();
    assert_eq!(listed.versions().len(), 2);

    step("put something else under that token");
    let told = refused(put("three").send().await, "ResourceExistsException", TOKEN);
    assert!(told.is_resource_exists_exception());
    assert_eq!(value(client, id).await, "two");
}

pub async fn wrong_key(place: Place) {
    let made = place.secret().await;

    step("a read and a write");
    let stranger = place.stranger();
    let read = stranger.get_secret_value().secret_id(made.arn().unwrap()).send().await;
    refused(read, "InvalidSignatureException", "signature");
    let write = stranger.put_secret_value().secret_id(made.arn().unwrap()).secret_string("two").send().await;
    refused(write, "InvalidSignatureException", "signature");
    assert_eq!(value(&place.client, made.arn().unwrap()).await, "one");
}
