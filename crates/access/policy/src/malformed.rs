//! Why a text is not a policy, in the words of IAM.
//!
//! The sentences are IAM's own where they are known, and ours where AWS only documents that something is refused (marked).
//! Other services have other words for some of them and take the variant instead of the text.

use crate::PrincipalKind;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Documents of identities say [`Syntax`](Self::Syntax) instead, as IAM does.
    #[error("This policy contains invalid Json")]
    NotJson,
    #[error("Syntax errors in policy.")]
    Syntax,
    #[error("Policy document must be version 2012-10-17 or greater.")]
    Version,
    #[error("The policy failed legacy parsing")]
    LegacyParsing,
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    SidTwice,
    #[error(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
    )]
    SidCharacters,
    #[error("Policy statement must contain actions.")]
    NoActions,
    #[error("Resource {resource} must be in ARN format or \"*\".")]
    ResourceNotArn { resource: String },
    /// `resource` is spelt out to six fields, as IAM does.
    #[error("Partition \"{partition}\" is not valid for resource \"{resource}\".")]
    ResourcePartition { partition: String, resource: String },
    #[error("Resource vendor must be fully qualified and cannot contain regexes.")]
    ResourceVendor,
    #[error("IAM resource {resource} cannot contain region information.")]
    IamRegion { resource: String },
    #[error("Resource {resource} can not contain region information.")]
    ResourceRegion { resource: String },
    #[error(
        "IAM resource path must either be \"*\" or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/."
    )]
    IamPath,
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    ActionWithoutVendor,
    #[error("Actions/Condition can contain only one colon.")]
    ActionColons,
    #[error("Vendor {vendor} is not valid")]
    ActionVendor { vendor: String },
    #[error("Policy statement must contain resources.")]
    NoResources,
    #[error("Policy document should not specify a principal.")]
    PrincipalInIdentity,
    #[error("Has prohibited field Resource.")]
    ResourceInTrust,
    #[error("AssumeRole policy may only specify STS AssumeRole actions.")]
    TrustActions,
    #[error("Invalid principal in policy: \"{kind}\":\"{value}\"")]
    Principal { kind: PrincipalKind, value: String },
    /// Our words.
    #[error("This resource policy contains a statement without a principal.")]
    NoPrincipal,
    /// Our words.
    #[error("NotPrincipal is not supported with the Allow effect.")]
    NotPrincipalAllows,
    /// Our words.
    #[error("NotPrincipal is not supported in a trust policy.")]
    NotPrincipalInTrust,
}
