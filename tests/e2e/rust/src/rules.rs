//! What is attached to a secret: its resource policy and its rotation.

use aws_sdk_secretsmanager::operation::cancel_rotate_secret::CancelRotateSecretError;
use aws_sdk_secretsmanager::operation::put_resource_policy::PutResourcePolicyError;
use aws_sdk_secretsmanager::types::RotationRulesType;

use crate::place::{Place, refused, step};

fn policy_for(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},
        "Action":"secretsmanager:GetSecretValue","Resource":"*"}}]}}"#
    )
}

async fn policy_of(place: &Place, id: &str) -> Option<String> {
    place.client.get_resource_policy().secret_id(id).send().await.unwrap().resource_policy
}

pub async fn policy(place: Place) {
    let client = &place.client;
    let made = place.secret().await;
    let id = made.arn().unwrap();
    let (narrow, public) = (policy_for("444455556666"), policy_for("*"));

    step("validate");
    let fine = client.validate_resource_policy().secret_id(id).resource_policy(&narrow).send().await.unwrap();
    assert!(fine.policy_validation_passed() && fine.validation_errors().is_empty(), "{fine:?}");
    let open = client.validate_resource_policy().secret_id(id).resource_policy(&public).send().await.unwrap();
    assert!(!open.policy_validation_passed() && open.validation_errors().len() == 1, "{open:?}");
    assert_eq!(policy_of(&place, id).await, None, "looking at it keeps nothing");

    step("put and get");
    let put = client.put_resource_policy().secret_id(id).resource_policy(&narrow).block_public_policy(true);
    assert_eq!(put.send().await.unwrap().name(), made.name());
    assert_eq!(policy_of(&place, id).await, Some(narrow.clone()), "word for word");

    step("put what is refused");
    let put = client.put_resource_policy().secret_id(id).resource_policy(&public).block_public_policy(true);
    let told = refused(put.send().await, "PublicPolicyException", "");
    assert!(matches!(told, PutResourcePolicyError::PublicPolicyException(_)), "{told:?}");
    let malformed = narrow.replace("2012", "2013");
    let put = client.put_resource_policy().secret_id(id).resource_policy(malformed).send().await;
    let told = refused(put, "MalformedPolicyDocumentException", "This policy has invalid syntax.");
    assert!(matches!(told, PutResourcePolicyError::MalformedPolicyDocumentException(_)), "{told:?}");
    assert_eq!(policy_of(&place, id).await, Some(narrow), "what was there stays");

    step("delete");
    client.delete_resource_policy().secret_id(id).send().await.unwrap();
    assert_eq!(policy_of(&place, id).await, None);
}

pub async fn rotation(place: Place) {
    let client = &place.client;
    let made = place.secret().await;
    let id = made.arn().unwrap();
    let rules = RotationRulesType::builder().automatically_after_days(30).build();

    step("rotate with a function that cannot be invoked");
    let account = id.split(':').nth(4).unwrap();
    let function = format!("arn:aws:lambda:{}:{account}:function:rotate", place.region);
    let rotate =
        client.rotate_secret().secret_id(id).rotation_lambda_arn(function).rotation_rules(rules.clone());
    // The model has no such error, so it has a code and no type.
    let told = refused(
        rotate.send().await,
        "AccessDeniedException",
        "Secrets Manager cannot invoke the specified Lambda function.",
    );
    assert!(!told.is_invalid_request_exception() && !told.is_invalid_parameter_exception());

    step("rotate without a function");
    let rotate = client.rotate_secret().secret_id(id).rotation_rules(rules).send().await;
    let told = refused(rotate, "InvalidRequestException", "No Lambda rotation function ARN is associated");
    assert!(told.is_invalid_request_exception());

    step("cancel what never began");
    let cancel = client.cancel_rotate_secret().secret_id(id).send().await;
    let told = refused(cancel, "InvalidRequestException", "No Lambda rotation function ARN is associated");
    assert!(matches!(told, CancelRotateSecretError::InvalidRequestException(_)), "{told:?}");

    step("nothing has changed");
    let described = client.describe_secret().secret_id(id).send().await.unwrap();
    assert_eq!((described.rotation_enabled(), described.rotation_lambda_arn()), (None, None));
    assert_eq!((described.rotation_rules(), described.next_rotation_date()), (None, None));
    assert_eq!(described.version_ids_to_stages().unwrap().len(), 1);
}
