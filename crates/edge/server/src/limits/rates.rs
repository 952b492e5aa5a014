//! How often an account, and a principal in it, may call an operation.
//!
//! A request is charged once it is proven who sent it and before its operation runs, so that nobody can spend what is another's. The
//! account that pays is the caller's, whoever owns what the call is about. What an operation does in other services for the same
//! caller is not charged again.
//!
//! The profile `fair` has no rates, `aws` has those that AWS publishes, and in `custom` an operator writes down his own. AWS changes
//! its rates now and then, and most differ between its regions: they are a likeness, not a promise.
//!
//! What this does not know: the clock, and how somebody is told that he has to wait.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use coffer_core::{Caller, Principal, PrincipalKind};
use coffer_model::SERVICES;
use coffer_shape::{OperationSpec, ServiceSpec};
use coffer_types::Region;

use super::{debts::Debts, regions::is_of_aws};
use crate::config::Profile;

/// Accounts, regions and principals in debt that are remembered, about 1 MiB. At the lowest usual rate of 50 a second a debt of one call
/// is gone after 20 ms, so as many are only in debt when hundreds of thousands call in a second.
const DEBTORS_MAX: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Rates {
    prices: HashMap<Name, Prices>,
    /// The region that clients are told to use, whatever it is called.
    home: Region,
    hasher: RandomState,
    accounts: Debts<u64>,
    principals: Debts<u64>,
}

/// Service and operation.
type Name = (&'static str, &'static str);

/// What one call costs; nothing is zero.
#[derive(Debug, Clone, Copy, Default)]
struct Prices {
    account: Price,
    principal: Price,
}

/// Operations of one pot share a rate.
#[derive(Debug, Clone, Copy, Default)]
struct Price {
    pot: usize,
    each: Duration,
}

/// Whose rate is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Account,
    Principal,
}

impl Excess {
    /// The word in the metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Principal => "principal",
        }
    }
}

impl Rates {
    pub(crate) fn new(profile: &Profile, home: Region) -> Self {
        let mut prices: HashMap<Name, Prices> = HashMap::new();
        match profile {
            Profile::Fair => {}
            Profile::Aws => {
                for (pot, quota) in AWS.iter().enumerate() {
                    let each = quota.price();
                    for operation in operations(quota.service, quota.operations) {
                        prices.entry(operation).or_default().account = Price { pot, each };
                    }
                }
            }
            Profile::Custom { accounts, principals } => {
                for (operation, price) in custom(accounts) {
                    prices.entry(operation).or_default().account = price;
                }
                for (operation, price) in custom(principals) {
                    prices.entry(operation).or_default().principal = price;
                }
            }
        }
        Self {
            prices,
            home,
            hasher: RandomState::new(),
            accounts: Debts::new(DEBTORS_MAX),
            principals: Debts::new(DEBTORS_MAX),
        }
    }

    /// Charges a call, or says whose rate it would exceed.
    pub(crate) fn charge(
        &self,
        caller: &Caller,
        operation: &OperationSpec,
        now: Duration,
    ) -> Result<(), Excess> {
        let Some(prices) = self.prices_of(operation) else { return Ok(()) };
        let [account, principal] = self.debtors(caller, prices);
        if self.principals.bars(&principal, prices.principal.each, now) {
            return Err(Excess::Principal);
        }
        if !self.accounts.spend(account, prices.account.each, now) {
            return Err(Excess::Account);
        }
        self.principals.charge(principal, prices.principal.each, now);
        Ok(())
    }

    /// Says whose rate a call would exceed, and charges nobody yet.
    pub(crate) fn look(
        &self,
        caller: &Caller,
        operation: &OperationSpec,
        now: Duration,
    ) -> Result<(), Excess> {
        let Some(prices) = self.prices_of(operation) else { return Ok(()) };
        let [account, principal] = self.debtors(caller, prices);
        if self.principals.bars(&principal, prices.principal.each, now) {
            Err(Excess::Principal)
        } else if self.accounts.bars(&account, prices.account.each, now) {
            Err(Excess::Account)
        } else {
            Ok(())
        }
    }

    fn prices_of(&self, operation: &OperationSpec) -> Option<Prices> {
        self.prices.get(&(operation.service.name, operation.name)).copied()
    }

    /// The account in its region, and the principal.
    fn debtors(&self, caller: &Caller, prices: Prices) -> [u64; 2] {
        let account = caller.principal.account;
        // Names of regions cost nothing to make up. All that are nobody's region are one.
        let region = Some(&caller.region).filter(|region| **region == self.home || is_of_aws(region));
        [
            self.hasher.hash_one((account, region, prices.account.pot)),
            self.hasher.hash_one((account, identity(&caller.principal), prices.principal.pot)),
        ]
    }
}

/// Who counts as one: all sessions of a role do, because a session costs nothing to begin.
pub(crate) fn identity(principal: &Principal) -> &str {
    match &principal.kind {
        PrincipalKind::AssumedRole(role) => &role.id,
        PrincipalKind::WebIdentity(_) => &principal.arn,
        PrincipalKind::Root | PrincipalKind::User { .. } | PrincipalKind::Service { .. } => {
            &principal.user_id
        }
    }
}

/// What somebody reads who has to wait.
pub(crate) fn sentence(service: &ServiceSpec) -> &'static str {
    match service.name {
        // The documentation of its request quotas shows this one.
        "kms" => "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
        _ => "Rate exceeded",
    }
}

/// The operations that a list names, or all of them if it is empty.
fn operations(service: &str, named: &[&str]) -> Vec<Name> {
    let service = SERVICES.iter().find(|spec| spec.name == service);
    let served = service.into_iter().flat_map(|service| service.operations.iter().copied());
    let meant = served.filter(|spec| named.is_empty() || named.contains(&spec.name));
    meant.map(|spec| (spec.service.name, spec.name)).collect()
}

/// Each key is an operation such as `kms:Decrypt`, or `kms:*` for what the operations share that are not named themselves.
fn custom(rates: &BTreeMap<String, u32>) -> Vec<(Name, Price)> {
    let mut prices = BTreeMap::new();
    // A star sorts before every letter, so that the name of an operation wins.
    for (pot, (key, per_second)) in rates.iter().enumerate() {
        let each = Duration::from_secs(1).checked_div(*per_second).unwrap_or_default();
        for name in named_by(key) {
            prices.insert(name, Price { pot, each });
        }
    }
    prices.into_iter().collect()
}

/// The operations that a key of the configuration is about; none if it is not one.
pub(crate) fn named_by(key: &str) -> Vec<(&'static str, &'static str)> {
    match key.split_once(':') {
        Some((service, "*")) => operations(service, &[]),
        Some((service, operation)) => operations(service, &[operation]),
        None => Vec::new(),
    }
}

/// What the calls of one account in one region share on AWS.
struct Quota {
    service: &'static str,
    /// Empty for all.
    operations: &'static [&'static str],
    calls: u32,
    seconds: u32,
}

impl Quota {
    fn price(&self) -> Duration {
        Duration::from_secs(self.seconds.into()).checked_div(self.calls).unwrap_or_default()
    }
}

const fn secrets(operations: &'static [&'static str], calls: u32) -> Quota {
    Quota { service: "secretsmanager", operations, calls, seconds: 1 }
}

const fn kms(operations: &'static [&'static str], calls: u32) -> Quota {
    Quota { service: "kms", operations, calls, seconds: 1 }
}

/// The request quotas of each service, as far as we know them: those of KMS are matched to operations by hand, that of STS is reported. Where they
/// depend on the kind of a key, which is not known yet, the highest of them. IAM publishes none.
const AWS: &[Quota] = &[
    secrets(&["DescribeSecret", "GetSecretValue"], 10_000),
    secrets(&["BatchGetSecretValue"], 100),
    secrets(&["ListSecrets"], 100),
    secrets(&["ListSecretVersionIds"], 50),
    secrets(&["CreateSecret"], 50),
    secrets(&["DeleteSecret"], 50),
    secrets(&["RestoreSecret"], 50),
    secrets(&["GetRandomPassword"], 50),
    secrets(
        &[
            "PutSecretValue",
            "UpdateSecret",
            "UpdateSecretVersionStage",
            "ReplicateSecretToRegions",
            "RemoveRegionsFromReplication",
            "StopReplicationToReplica",
        ],
        50,
    ),
    secrets(&["RotateSecret", "CancelRotateSecret"], 50),
    secrets(&["TagResource", "UntagResource"], 50),
    secrets(
        &["PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy", "ValidateResourcePolicy"],
        50,
    ),
    // Sign, Verify and DeriveSharedSecret count here as well: their own quota depends on the key.
    kms(
        &[
            "Decrypt",
            "Encrypt",
            "GenerateDataKey",
            "GenerateDataKeyWithoutPlaintext",
            "GenerateMac",
            "GenerateRandom",
            "ReEncrypt",
            "VerifyMac",
            "Sign",
            "Verify",
            "DeriveSharedSecret",
        ],
        10_000,
    ),
    kms(&["GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"], 25),
    kms(&["CancelKeyDeletion"], 5),
    kms(&["CreateAlias"], 5),
    kms(&["CreateGrant"], 50),
    kms(&["CreateKey"], 5),
    kms(&["DeleteAlias"], 15),
    kms(&["DeleteImportedKeyMaterial"], 5),
    kms(&["DescribeKey"], 2_000),
    kms(&["DisableKey"], 5),
    kms(&["DisableKeyRotation"], 5),
    kms(&["EnableKey"], 5),
    kms(&["EnableKeyRotation"], 15),
    kms(&["GetKeyPolicy"], 1_000),
    kms(&["GetKeyRotationStatus"], 1_000),
    Quota { service: "kms", operations: &["GetParametersForImport"], calls: 1, seconds: 4 },
    kms(&["GetPublicKey"], 2_000),
    kms(&["ImportKeyMaterial"], 5),
    kms(&["ListAliases"], 500),
    kms(&["ListGrants"], 100),
    kms(&["ListKeyPolicies"], 100),
    kms(&["ListKeys"], 500),
    kms(&["ListResourceTags"], 2_000),
    kms(&["ListRetirableGrants"], 100),
    kms(&["PutKeyPolicy"], 15),
    kms(&["RetireGrant"], 30),
    kms(&["RevokeGrant"], 30),
    kms(&["ScheduleKeyDeletion"], 15),
    kms(&["TagResource"], 10),
    kms(&["UntagResource"], 5),
    kms(&["UpdateAlias"], 5),
    kms(&["UpdateKeyDescription"], 5),
    Quota { service: "sts", operations: &[], calls: 600, seconds: 1 },
    Quota { service: "cloudtrail", operations: &["LookupEvents"], calls: 2, seconds: 1 },
];

#[cfg(test)]
mod tests {
    use coffer_core::AssumedRole;
    use coffer_types::{AccountId, RequestId};

    use super::*;

    const GET: &str = "secretsmanager:GetSecretValue";
    const DESCRIBE: &str = "secretsmanager:DescribeSecret";

    fn spec(key: &str) -> &'static OperationSpec {
        let (service, name) = key.split_once(':').unwrap();
        SERVICES.iter().find(|spec| spec.name == service).unwrap().operation(name).unwrap()
    }

    fn caller(account: &str, region: &str, name: &str) -> Caller {
        let account: AccountId = account.parse().unwrap();
        let region: Region = region.parse().unwrap();
        let mut caller =
            Caller::service(account, region, "local", RequestId::random(&coffer_crypto::SystemEntropy));
        caller.principal.kind = PrincipalKind::User { name: name.to_owned() };
        caller.principal.user_id = format!("AIDA{name}");
        caller
    }

    fn home() -> Region {
        "local-1".parse().unwrap()
    }

    fn ann() -> Caller {
        caller("111122223333", "eu-west-1", "ann")
    }

    fn custom_profile(accounts: &[(&str, u32)], principals: &[(&str, u32)]) -> Profile {
        let owned =
            |rates: &[(&str, u32)]| rates.iter().map(|(key, rate)| ((*key).to_owned(), *rate)).collect();
        Profile::Custom { accounts: owned(accounts), principals: owned(principals) }
    }

    /// How many of ten thousand calls at one moment are let in.
    fn let_in(rates: &Rates, caller: &Caller, operation: &str, seconds: u64) -> usize {
        let (spec, now) = (spec(operation), Duration::from_secs(seconds));
        (0..30_000).take_while(|_| rates.charge(caller, spec, now).is_ok()).count()
    }

    #[test]
    fn every_operation_of_the_table_is_one() {
        let names: Vec<_> =
            AWS.iter().flat_map(|quota| quota.operations.iter().map(|name| (quota.service, *name))).collect();
        for (at, (service, name)) in names.iter().enumerate() {
            let spec = SERVICES.iter().find(|spec| spec.name == *service).unwrap();
            // What is not served yet has its rate already.
            assert!(spec.operation(name).is_some() || spec.unserved.contains(name), "{service}:{name}");
            assert!(!names[..at].contains(&(*service, *name)), "{service}:{name} stands there twice");
        }
    }

    #[test]
    fn nothing_has_a_rate_unless_somebody_wants_it() {
        let rates = Rates::new(&Profile::Fair, home());
        assert_eq!(let_in(&rates, &ann(), GET, 0), 30_000);
    }

    #[test]
    fn what_aws_lets_in_together_is_let_in_together() {
        let rates = Rates::new(&Profile::Aws, home());
        assert_eq!(let_in(&rates, &ann(), GET, 0), 20_000, "a burst of two seconds");
        assert_eq!(let_in(&rates, &ann(), DESCRIBE, 0), 0, "they share a rate");
        assert_eq!(let_in(&rates, &ann(), "secretsmanager:ListSecrets", 0), 200);
        assert_eq!(let_in(&rates, &ann(), "kms:CreateKey", 0), 10);
        assert_eq!(let_in(&rates, &ann(), "kms:GetParametersForImport", 0), 1);
        assert_eq!(let_in(&rates, &ann(), DESCRIBE, 1), 10_000);
        assert_eq!(let_in(&rates, &ann(), "kms:GetParametersForImport", 4), 1);
        assert_eq!(let_in(&rates, &ann(), "iam:ListUsers", 0), 30_000, "IAM publishes none");
    }

    #[test]
    fn an_account_pays_for_all_its_principals_in_one_region_and_for_nobody_else() {
        let rates = Rates::new(&custom_profile(&[(GET, 5)], &[]), home());
        assert_eq!(let_in(&rates, &ann(), GET, 0), 10);
        for (account, region, name, expected) in [
            ("111122223333", "eu-west-1", "ben", 0),
            ("111122223333", "us-east-1", "ann", 10),
            ("444455556666", "eu-west-1", "ann", 10),
        ] {
            assert_eq!(
                let_in(&rates, &caller(account, region, name), GET, 0),
                expected,
                "{account} {region} {name}"
            );
        }
    }

    #[test]
    fn regions_that_somebody_makes_up_share_one_rate() {
        let rates = Rates::new(&custom_profile(&[(GET, 5)], &[]), home());
        for (region, expected) in
            [("aa-aa-1", 10), ("aa-aa-2", 0), ("mars-1", 0), ("local-1", 10), ("us-west-2", 10)]
        {
            let caller = caller("111122223333", region, "ann");
            assert_eq!(let_in(&rates, &caller, GET, 0), expected, "{region}");
        }
    }

    #[test]
    fn whoever_looks_pays_nothing() {
        let rates = Rates::new(&custom_profile(&[(GET, 5)], &[(GET, 2)]), home());
        assert!((0..100).all(|_| rates.look(&ann(), spec(GET), Duration::ZERO).is_ok()));
        assert_eq!(let_in(&rates, &ann(), GET, 0), 4);
        assert_eq!(rates.look(&ann(), spec(GET), Duration::ZERO), Err(Excess::Principal));
    }

    #[test]
    fn a_principal_has_a_rate_of_his_own_and_a_role_has_one_for_all_its_sessions() {
        let rates = Rates::new(&custom_profile(&[(GET, 10)], &[(GET, 2)]), home());
        let session = |name: &str| {
            let mut session = ann();
            session.principal.user_id = format!("AROA1:{name}");
            session.principal.kind = PrincipalKind::AssumedRole(AssumedRole {
                arn: "arn:aws:iam::111122223333:role/reader".into(),
                id: "AROA1".into(),
                session_name: name.into(),
            });
            session
        };
        assert_eq!(let_in(&rates, &ann(), GET, 0), 4);
        assert_eq!(rates.charge(&ann(), spec(GET), Duration::ZERO), Err(Excess::Principal));
        assert_eq!(let_in(&rates, &session("one"), GET, 0), 4);
        assert_eq!(let_in(&rates, &session("two"), GET, 0), 0);
        // What the two left over of the twenty. A refused call costs neither of them anything.
        let others: Vec<_> =
            (0..5).map(|name| caller("111122223333", "eu-west-1", &name.to_string())).collect();
        let left: Vec<_> = others.iter().map(|other| let_in(&rates, other, GET, 0)).collect();
        assert_eq!(left, [4, 4, 4, 0, 0]);
        assert_eq!(rates.charge(&others[4], spec(GET), Duration::ZERO), Err(Excess::Account));
    }

    #[test]
    fn a_star_is_what_the_others_of_a_service_share() {
        let rates = Rates::new(&custom_profile(&[("secretsmanager:*", 3), (GET, 5)], &[]), home());
        assert_eq!(let_in(&rates, &ann(), GET, 0), 10);
        assert_eq!(let_in(&rates, &ann(), DESCRIBE, 0), 6);
        assert_eq!(let_in(&rates, &ann(), "secretsmanager:ListSecrets", 0), 0);
        assert_eq!(let_in(&rates, &ann(), "kms:Decrypt", 0), 30_000);
        for (key, known) in
            [(GET, true), ("kms:*", true), ("kms:Fly", false), ("s3:*", false), ("Decrypt", false)]
        {
            assert_eq!(!named_by(key).is_empty(), known, "{key}");
        }
    }
}
