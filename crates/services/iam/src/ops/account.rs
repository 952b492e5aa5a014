//! The account as a whole: its alias, its rules for passwords, and how much of everything there is.

use std::{collections::BTreeMap, ops::ControlFlow};

use coffer_core::{Cx, Registry, Walk};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use super::{access_keys, groups, instance_profiles, managed_policies, roles, users};
use crate::{
    account::{self, AccountRecord, PasswordRules},
    error::IamError,
    group::GroupRecord,
    holder::Holder,
    instance_profile::InstanceProfileRecord,
    managed::PolicyRecord,
    oidc_provider::OidcProviderRecord,
    page,
    role::RoleRecord,
    trust,
    unscoped::Unscoped,
    user::UserRecord,
    versions,
};

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreateAccountAlias>(create_account_alias);
    registry.serve::<iam::DeleteAccountAlias>(delete_account_alias);
    registry.serve::<iam::ListAccountAliases>(list_account_aliases);
    registry.serve::<iam::GetAccountPasswordPolicy>(get_account_password_policy);
    registry.serve::<iam::UpdateAccountPasswordPolicy>(update_account_password_policy);
    registry.serve::<iam::DeleteAccountPasswordPolicy>(delete_account_password_policy);
    registry.serve::<iam::GetAccountSummary>(get_account_summary);
}

/// An account has one alias at most; a new one takes the place of the old.
fn create_account_alias(cx: &mut Cx<'_>, input: iam::CreateAccountAliasRequest) -> Result<Empty, ApiError> {
    cx.ask(action::CREATE_ACCOUNT_ALIAS, &Unscoped::account())?;
    let mut account = AccountRecord::of(cx)?;
    if account.alias.as_ref() == Some(&input.account_alias) {
        return Err(IamError::AliasExists { alias: input.account_alias }.into());
    }
    account.alias = Some(input.account_alias);
    cx.save(account)?;
    Ok(Empty {})
}

fn delete_account_alias(cx: &mut Cx<'_>, input: iam::DeleteAccountAliasRequest) -> Result<Empty, ApiError> {
    cx.ask(action::DELETE_ACCOUNT_ALIAS, &Unscoped::account())?;
    let mut account = AccountRecord::of(cx)?;
    if account.alias.as_ref() != Some(&input.account_alias) {
        return Err(IamError::NoSuchAlias { alias: input.account_alias }.into());
    }
    account.alias = None;
    cx.save(account)?;
    Ok(Empty {})
}

fn list_account_aliases(
    cx: &mut Cx<'_>,
    input: iam::ListAccountAliasesRequest,
) -> Result<iam::ListAccountAliasesResponse, ApiError> {
    cx.ask(action::LIST_ACCOUNT_ALIASES, &Unscoped::account())?;
    let query = iam::ListAccountAliasesRequest { marker: None, max_items: None };
    let aliases: Vec<String> = AccountRecord::of(cx)?.alias.into_iter().collect();
    let page =
        page::of(&query, input.marker.as_deref(), input.max_items).of_items(cx, &aliases, |alias| alias)?;
    Ok(iam::ListAccountAliasesResponse {
        is_truncated: page.is_truncated(),
        account_aliases: page.items,
        marker: page.marker,
    })
}

fn get_account_password_policy(
    cx: &mut Cx<'_>,
    _: Empty,
) -> Result<iam::GetAccountPasswordPolicyResponse, ApiError> {
    cx.ask(action::GET_ACCOUNT_PASSWORD_POLICY, &Unscoped::account())?;
    let rules = AccountRecord::of(cx)?.password_rules.ok_or_else(|| no_password_policy(cx))?;
    Ok(iam::GetAccountPasswordPolicyResponse {
        password_policy: iam::PasswordPolicy {
            minimum_password_length: Some(rules.length_min),
            require_symbols: Some(rules.symbols),
            require_numbers: Some(rules.numbers),
            require_uppercase_characters: Some(rules.upper_case),
            require_lowercase_characters: Some(rules.lower_case),
            allow_users_to_change_password: Some(rules.users_may_change),
            expire_passwords: Some(rules.days_max.is_some()),
            max_password_age: rules.days_max,
            password_reuse_prevention: rules.passwords_remembered,
            hard_expiry: rules.hard_expiry,
        },
    })
}

fn no_password_policy(cx: &Cx<'_>) -> IamError {
    IamError::NoPasswordPolicy { account: cx.account() }
}

/// The whole policy: what is left out is as if nobody had ever asked for it.
fn update_account_password_policy(
    cx: &mut Cx<'_>,
    input: iam::UpdateAccountPasswordPolicyRequest,
) -> Result<Empty, ApiError> {
    cx.ask(action::UPDATE_ACCOUNT_PASSWORD_POLICY, &Unscoped::account())?;
    let mut account = AccountRecord::of(cx)?;
    account.password_rules = Some(PasswordRules {
        length_min: account::length_min(input.minimum_password_length),
        symbols: input.require_symbols.unwrap_or_default(),
        numbers: input.require_numbers.unwrap_or_default(),
        upper_case: input.require_uppercase_characters.unwrap_or_default(),
        lower_case: input.require_lowercase_characters.unwrap_or_default(),
        users_may_change: input.allow_users_to_change_password.unwrap_or_default(),
        days_max: input.max_password_age,
        passwords_remembered: input.password_reuse_prevention,
        hard_expiry: input.hard_expiry,
    });
    cx.save(account)?;
    Ok(Empty {})
}

fn delete_account_password_policy(cx: &mut Cx<'_>, _: Empty) -> Result<Empty, ApiError> {
    cx.ask(action::DELETE_ACCOUNT_PASSWORD_POLICY, &Unscoped::account())?;
    let mut account = AccountRecord::of(cx)?;
    if account.password_rules.take().is_none() {
        return Err(no_password_policy(cx).into());
    }
    cx.save(account)?;
    Ok(Empty {})
}

/// What there is, and how much there may be. Of what Coffer does not have, there is nothing.
fn get_account_summary(cx: &mut Cx<'_>, _: Empty) -> Result<iam::GetAccountSummaryResponse, ApiError> {
    let action = action::GET_ACCOUNT_SUMMARY;
    let permit = cx.ask_through::<PolicyRecord>(action, &Unscoped::account())?;
    let mut versions_in_use = 0;
    cx.walk(permit, Walk::default(), &mut |policy| {
        versions_in_use += policy.versions.len();
        ControlFlow::Continue(())
    })?;
    let numbers = [
        ("Users", cx.count::<UserRecord>()?),
        ("UsersQuota", users::USERS_MAX),
        ("Groups", cx.count::<GroupRecord>()?),
        ("GroupsQuota", groups::GROUPS_MAX),
        ("Roles", cx.count::<RoleRecord>()?),
        ("RolesQuota", roles::ROLES_MAX),
        ("Policies", cx.count::<PolicyRecord>()?),
        ("PoliciesQuota", managed_policies::POLICIES_MAX),
        ("InstanceProfiles", cx.count::<InstanceProfileRecord>()?),
        ("InstanceProfilesQuota", instance_profiles::PROFILES_MAX),
        ("Providers", cx.count::<OidcProviderRecord>()?),
        ("PolicyVersionsInUse", versions_in_use),
        ("PolicyVersionsInUseQuota", managed_policies::POLICIES_MAX * versions::VERSIONS_MAX),
        ("VersionsPerPolicyQuota", versions::VERSIONS_MAX),
        ("PolicySizeQuota", versions::CHARS_MAX),
        ("UserPolicySizeQuota", UserRecord::INLINE_CHARS_MAX),
        ("GroupPolicySizeQuota", GroupRecord::INLINE_CHARS_MAX),
        ("RolePolicySizeQuota", RoleRecord::INLINE_CHARS_MAX),
        ("AssumeRolePolicySizeQuota", trust::CHARS_MAX),
        ("AttachedPoliciesPerUserQuota", UserRecord::ATTACHED_MAX),
        ("AttachedPoliciesPerGroupQuota", GroupRecord::ATTACHED_MAX),
        ("AttachedPoliciesPerRoleQuota", RoleRecord::ATTACHED_MAX),
        ("GroupsPerUserQuota", groups::GROUPS_PER_USER_MAX),
        ("AccessKeysPerUserQuota", access_keys::KEYS_MAX),
        ("AccountAccessKeysPresent", 0),
        ("AccountMFAEnabled", 0),
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", 0),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("ServerCertificates", 0),
        ("ServerCertificatesQuota", 0),
        ("SigningCertificatesPerUserQuota", 0),
        ("GlobalEndpointTokenVersion", 1),
    ];
    let numbers = numbers.map(|(name, number)| (name.to_owned(), i64::try_from(number).unwrap_or(i64::MAX)));
    Ok(iam::GetAccountSummaryResponse { summary_map: Some(BTreeMap::from(numbers)) })
}
