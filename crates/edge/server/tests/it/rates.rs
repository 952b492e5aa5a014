//! What a caller sees who calls too often, and that nobody else sees anything of it.

use std::collections::BTreeMap;

use coffer_server::config::{Limits, Profile};

use crate::{
    browser_of_bytes::Answer,
    house::{FORM, House, JSON, Plan, Request, WHO_AM_I},
};

async fn house(rates: &[(&str, u32)], principal_rates: &[(&str, u32)]) -> House {
    let owned = |rates: &[(&str, u32)]| -> BTreeMap<String, u32> {
        rates.iter().map(|(key, rate)| ((*key).to_owned(), *rate)).collect()
    };
    let profile = Profile::Custom { accounts: owned(rates), principals: owned(principal_rates) };
    House::with(Plan { limits: Limits { profile, ..Limits::default() }, ..Plan::default() }).await
}

/// Asks until it is too much. What was spent comes back with time, so a slow machine needs some more.
async fn too_often(house: &House, request: &Request) -> Answer {
    for _ in 0..1_000 {
        let answer = house.ask(request).await;
        if answer.status != 200 {
            return answer;
        }
    }
    panic!("it may be called as often as anybody likes");
}

#[tokio::test]
async fn whoever_calls_too_often_hears_so_in_the_words_of_the_service() {
    let rates = [("secretsmanager:ListSecrets", 1), ("kms:ListKeys", 1), ("sts:*", 1)];
    let house = house(&rates, &[]).await;

    let list = house.json("ListSecrets", "{}");
    let answer = too_often(&house, &list).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);
    assert_eq!(answer.header("content-type"), Some(JSON));

    let headers = [("content-type", JSON), ("x-amz-target", "TrentService.ListKeys")];
    let answer = too_often(&house, &house.signed("kms", "/", &headers, b"{}")).await;
    assert_eq!(answer.status, 400);
    let sentence =
        "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.";
    assert_eq!(answer.body, format!(r#"{{"__type":"ThrottlingException","message":"{sentence}"}}"#));

    let answer = too_often(&house, &house.form(WHO_AM_I)).await;
    assert_eq!((answer.status, answer.code()), (400, "Throttling"));
    let error = "<Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message>";
    assert!(answer.body.contains(error), "{}", answer.body);

    // Other operations have no rate here, and what was refused is on record as on AWS.
    for _ in 0..10 {
        assert_eq!(house.ask(&house.json("GetRandomPassword", "{}")).await.status, 200);
    }
    let target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
    let headers = [("content-type", JSON), ("x-amz-target", target)];
    let by_name =
        br#"{"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "ListSecrets"}]}"#;
    let events = house.ask(&house.signed("cloudtrail", "/", &headers, by_name)).await;
    assert!(events.body.contains("ThrottlingException"), "{}", events.body);
    let metrics = house.say(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(metrics.body.contains("coffer_throttled_total{reason=\"account\"}"), "{}", metrics.body);
}

#[tokio::test]
async fn nobody_spends_what_is_anothers_with_a_signature_that_does_not_hold() {
    let house = house(&[("secretsmanager:ListSecrets", 1)], &[("secretsmanager:ListSecrets", 1)]).await;
    let right = house.json("ListSecrets", "{}");
    let mut wrong = right.clone();
    wrong.secret.push('x');
    for _ in 0..50 {
        assert_eq!(house.ask(&wrong).await.code(), "InvalidSignatureException");
    }
    for _ in 0..2 {
        assert_eq!(house.ask(&right).await.status, 200);
    }
}

#[tokio::test]
async fn a_principal_pays_for_himself_alone() {
    let house = house(&[], &[("sts:GetCallerIdentity", 1)]).await;
    let answer = too_often(&house, &house.form(WHO_AM_I)).await;
    assert_eq!((answer.status, answer.code()), (400, "Throttling"));
    let iam = |action: &str| {
        let body = format!("Action={action}&Version=2010-05-08&UserName=ben");
        house.signed("iam", "/", &[("content-type", FORM)], body.as_bytes())
    };
    assert_eq!(house.ask(&iam("CreateUser")).await.status, 200);
    let key = house.ask(&iam("CreateAccessKey")).await;
    let between = |tag: &str| {
        let (_, rest) = key.body.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once("</").unwrap().0.to_owned()
    };
    let mut of_ben = house.form(WHO_AM_I);
    of_ben.key_id = between("AccessKeyId");
    of_ben.secret = between("SecretAccessKey");
    let answer = house.ask(&of_ben).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
