//! What a decision tells besides yes and no: which statement it was, for the audit record, and the sentences that the vectors leave out.

use coffer_policy::{
    Caller, Constraint, Decision, Document, Grant, Grounds, Kind, Named, Policies, Policy, PolicyType,
    Request, Shown,
};

const USER: &str = "arn:aws:iam::111122223333:user/ann";
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";
const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-k3X9aQ";

fn policy(kind: Kind, name: &str, statements: &str) -> Policy {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
    Policy::new(name, &Document::parse(kind, &text).unwrap())
}

fn ann() -> Caller<'static> {
    Caller::User { arn: USER, account: "111122223333".parse().unwrap(), id: Some("AIDAEXAMPLEEXAMPLE") }
}

fn request<'a>(caller: Caller<'a>, action: &'a str, resource: &'a str) -> Request<'a> {
    Request {
        caller,
        action,
        resource: Some(resource),
        resource_account: None,
        context: &(),
        encryption_context: &[],
    }
}

#[test]
fn the_statement_that_decided_is_named() {
    let reads = policy(
        Kind::Managed,
        "arn:aws:iam::111122223333:policy/read",
        r#"{"Effect": "Allow", "Action": "kms:*", "Resource": "*"},
           {"Sid": "Read", "Effect": "Allow", "Action": "secretsmanager:Get*", "Resource": "*"}"#,
    );
    let never = policy(
        Kind::Resource,
        "default",
        r#"{"Effect": "Deny", "Principal": {"AWS": "AIDAEXAMPLEEXAMPLE"}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}"#,
    );
    let get = request(ann(), "secretsmanager:GetSecretValue", SECRET);
    let allowed = Policies { identity: &[&reads], ..Policies::default() };
    let statement = Named { policy: "arn:aws:iam::111122223333:policy/read", index: 1, sid: Some("Read") };
    assert_eq!(
        allowed.decide(&get),
        Decision::Allowed(Grounds::Statement { by: PolicyType::Identity, statement })
    );
    assert_eq!(allowed.decide(&get).message(&get, Shown::As("db")), None);

    let denied = Policies { resource: Some(&never), ..allowed };
    let statement = Named { policy: "default", index: 0, sid: None };
    assert_eq!(denied.decide(&get), Decision::ExplicitDeny { by: PolicyType::Resource, statement });

    let describe = request(ann(), "secretsmanager:DescribeSecret", SECRET);
    assert_eq!(allowed.decide(&describe), Decision::ImplicitDeny { by: PolicyType::Identity });
}

#[test]
fn whoever_needs_no_statement_is_told_apart() {
    let root =
        Caller::Root { arn: "arn:aws:iam::111122223333:root", account: "111122223333".parse().unwrap() };
    let delete = request(root, "secretsmanager:DeleteSecret", SECRET);
    assert_eq!(Policies::default().decide(&delete), Decision::Allowed(Grounds::Root));

    let identity = Request { resource: None, ..request(ann(), "sts:GetCallerIdentity", "") };
    assert_eq!(Policies::default().decide(&identity), Decision::Allowed(Grounds::Always));
    let nobody = Request { caller: Caller::Anonymous, ..identity };
    assert!(!Policies::default().decide(&nobody).is_allowed());

    let pairs = || vec![(String::from("SecretARN"), String::from(SECRET))];
    let operations = || vec![String::from("Decrypt"), String::from("DescribeKey")];
    let grants = [
        Grant::new("arn:aws:iam::111122223333:user/bob", operations(), None),
        Grant::new(USER, operations(), Some(Constraint::Equals(pairs()))),
        Grant::new("arn:aws:iam::*:user/ann", operations(), None),
    ];
    let granted = Policies { grants: &grants, ..Policies::default() };
    let decrypt = request(ann(), "kms:Decrypt", KEY);
    assert_eq!(granted.decide(&decrypt), Decision::ImplicitDeny { by: PolicyType::Resource });
    let with_context = Request { encryption_context: &[("SecretARN", SECRET)], ..decrypt };
    assert_eq!(granted.decide(&with_context), Decision::Allowed(Grounds::Grant(1)));
    // It has no encryption context that could be compared.
    let describe = request(ann(), "kms:DescribeKey", KEY);
    assert_eq!(granted.decide(&describe), Decision::Allowed(Grounds::Grant(1)));
}

#[test]
fn services_word_a_refusal_in_their_own_way() {
    let refused = |request: &Request<'_>, shown| {
        let decision = Policies::default().decide(request);
        (decision.message(request, shown).unwrap(), decision.message_without_reason(request, shown).unwrap())
    };
    let (full, short) = refused(&request(ann(), "kms:Decrypt", KEY), Shown::OfCiphertext);
    assert_eq!(
        full,
        format!(
            "User: {USER} is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext \
             because no resource-based policy allows the kms:Decrypt action"
        )
    );
    assert!(full.starts_with(&short) && short.ends_with("ciphertext"));

    let role = "arn:aws:iam::111122223333:role/app";
    let (full, short) = refused(&request(ann(), "sts:AssumeRole", role), Shown::As(role));
    assert_eq!(
        short,
        format!("User: {USER} is not authorized to perform: sts:AssumeRole on resource: {role}")
    );
    assert_eq!(full, short + " because no role trust policy allows the sts:AssumeRole action");

    let token = Caller::WebIdentity { provider: "accounts.google.com" };
    let (_, short) = refused(&request(token, "sts:AssumeRoleWithWebIdentity", role), Shown::As(role));
    assert_eq!(short, "Not authorized to perform sts:AssumeRoleWithWebIdentity");
}

#[test]
fn a_policy_of_more_statements_than_are_heard_allows_nothing() {
    let one = r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#;
    let of = |count: usize| policy(Kind::Managed, "long", &vec![one; count].join(","));
    let (long, too_long) = (of(9_999), of(10_001));
    let get = request(ann(), "secretsmanager:GetSecretValue", SECRET);
    let decide =
        |policy: &Policy| Policies { identity: &[policy], ..Policies::default() }.decide(&get).is_allowed();
    assert!(decide(&long));
    assert!(!decide(&too_long));
}

/// A resource may have several policies, of which some are not its owner's to write.
#[test]
fn policies_that_are_joined_decide_as_one() {
    let of_owner = policy(
        Kind::Resource,
        "default",
        r#"{"Sid": "Never", "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret", "Resource": "*"}"#,
    );
    let of_service = policy(
        Kind::Resource,
        "more",
        r#"{"Effect": "Allow", "Principal": {"AWS": "AIDAEXAMPLEEXAMPLE"}, "Action": "secretsmanager:*", "Resource": "*"}"#,
    );
    for order in [[&of_owner, &of_service], [&of_service, &of_owner]] {
        let joined = Policy::joined(&order);
        let by_resource = Policies { resource: Some(&joined), ..Policies::default() };
        assert!(by_resource.decide(&request(ann(), "secretsmanager:GetSecretValue", SECRET)).is_allowed());
        let denied = by_resource.decide(&request(ann(), "secretsmanager:DeleteSecret", SECRET));
        assert!(matches!(denied, Decision::ExplicitDeny { .. }), "{denied:?}");
    }
}
