//! CreateGrant, ListGrants, ListRetirableGrants, RetireGrant and RevokeGrant.

use std::sync::Arc;

use coffer_core::{Cx, PageOf};
use coffer_model::kms::{
    CreateGrantRequest, CreateGrantResponse, ListGrantsRequest, ListGrantsResponse,
    ListRetirableGrantsRequest, RetireGrantRequest, RevokeGrantRequest, action,
};
use coffer_shape::{ApiError, ConditionValue, Empty};
use coffer_types::encoding::HEXLOWER;

use super::keys::All;
use crate::{
    error::KmsError,
    grant::{
        self, ConstraintRecord, GrantRecord, Party, check_tokens, named_by_token, order,
        records_of_the_caller, suits,
    },
    key::KeyRecord,
    named::{Grants, Home, Use, key_id, permitted, permitted_with},
    page,
    spec::KeySpec,
    state::Class,
};

/// Lets somebody do certain things with a key. Whoever may only because of a grant himself can give no more than it has.
pub(crate) fn create_grant(
    cx: &mut Cx<'_>,
    input: CreateGrantRequest,
) -> Result<CreateGrantResponse, ApiError> {
    check_tokens(input.grant_tokens.as_ref())?;
    if input.grantee_service_principal.is_some() || input.retiring_service_principal.is_some() {
        return Err(KmsError::ServiceGrantee.into());
    }
    let constraint = ConstraintRecord::from_request(input.constraints)?;
    if let Some(constraint) = &constraint {
        let kind = ConditionValue::One(constraint.kind().to_owned());
        cx.also_asks(vec![(String::from("kms:GrantConstraintType"), kind)]);
    }
    let grantee = input.grantee_principal.ok_or(KmsError::GranteeMissing)?;
    let mut id = [0; 32];
    cx.entropy().fill(&mut id);
    let wanted = GrantRecord {
        grant_id: HEXLOWER.encode(&id),
        name: input.name,
        created_at: cx.now(),
        issuing_account: cx.caller().account.to_string(),
        operations: input.operations,
        constraint,
        ..GrantRecord::default()
    };

    // The grants of the caller that suffice for this one.
    let mut parents = Vec::new();
    if let Some(key_id) = key_id(cx, &input.key_id)? {
        let own = records_of_the_caller(cx, &Home::Here, &key_id)?;
        parents.extend(own.iter().filter(|own| own.may_give(&wanted)).map(|own| own.decided_by()));
    }
    let to = Use { grants: Grants::These(&parents), ..Use::default() };
    let key = permitted(cx, &input.key_id, to, action::CREATE_GRANT)?;
    let wanted = GrantRecord {
        key_id: key.key_id.clone(),
        grantee: Party::written(cx, &grantee)?,
        retiring: input.retiring_principal.map(|arn| Party::written(cx, &arn)).transpose()?,
        ..wanted
    };
    ensure_suits(&key, &wanted)?;
    key.ensure(Class::Use)?;
    super::ensure_meant(input.dry_run)?;

    let mut known = None;
    for grant_id in &grant::list_of(cx, &wanted)?.grant_ids {
        let grant = cx.part::<GrantRecord>(&[&key.key_id, grant_id])?;
        known = known.or_else(|| grant.filter(|grant| grant.is_repeated_by(&wanted)));
    }
    let grant = known.as_deref().unwrap_or(&wanted);
    let answer = CreateGrantResponse {
        grant_token: grant.token(cx.entropy()),
        grant_id: Some(grant.grant_id.clone()),
    };
    if known.is_none() {
        grant::add(cx, &key, wanted)?;
    }
    Ok(answer)
}

fn ensure_suits(key: &KeyRecord, grant: &GrantRecord) -> Result<(), KmsError> {
    let all_suit = grant.operations.iter().all(|operation| suits(key, operation));
    if grant.operations.is_empty() || !all_suit {
        return Err(KmsError::GrantOperations);
    }
    match &grant.constraint {
        Some(constraint) if key.spec != KeySpec::SymmetricDefault || constraint.context.is_empty() => {
            Err(KmsError::ConstraintWithoutContext)
        }
        _ => Ok(()),
    }
}

pub(crate) fn list_grants(cx: &mut Cx<'_>, input: ListGrantsRequest) -> Result<ListGrantsResponse, ApiError> {
    let query = ListGrantsRequest { limit: None, marker: None, ..input.clone() };
    let limit = page::limit(input.limit, 50, 100);

    let (key, permit) = permitted_with::<GrantRecord>(cx, &input.key_id, action::LIST_GRANTS)?;
    key.ensure(Class::Look)?;
    if let Some(grant_id) = &input.grant_id {
        check_grant_id(grant_id)?;
    }
    let grantee = input.grantee_principal.as_ref();
    let part = PageOf { order: order::KEY, of: Some(&key.key_id) };
    let page = page::of(&query, input.marker.as_deref(), limit).of_records(cx, permit, part, |grant| {
        input.grant_id.as_ref().is_none_or(|id| *id == grant.grant_id)
            && grantee.is_none_or(|arn| *arn == grant.grantee.arn || *arn == grant.grantee.id)
            && input.grantee_service_principal.is_none()
    })?;

    Ok(ListGrantsResponse {
        truncated: page.is_truncated(),
        grants: Some(page.items.iter().map(|grant| grant.shown(&key.arn)).collect()),
        next_marker: page.marker,
    })
}

/// Those of the account that somebody may retire, for whoever may ask.
pub(crate) fn list_retirable_grants(
    cx: &mut Cx<'_>,
    input: ListRetirableGrantsRequest,
) -> Result<ListGrantsResponse, ApiError> {
    let query = ListRetirableGrantsRequest { limit: None, marker: None, ..input.clone() };
    let limit = page::limit(input.limit, 50, 100);
    let retiring = input.retiring_principal.as_ref().ok_or(KmsError::GranteeMissing)?;

    let permit = cx.ask_through::<GrantRecord>(action::LIST_RETIRABLE_GRANTS, &All)?;
    let party = Party::written(cx, retiring)?;
    let part = PageOf { order: order::RETIRING, of: Some(&party.id) };
    let page = page::of(&query, input.marker.as_deref(), limit).of_records(cx, permit, part, |_| true)?;

    let shown =
        |grant: &Arc<GrantRecord>| grant.shown(cx.arn("kms", &format!("key/{}", grant.key_id)).as_str());
    Ok(ListGrantsResponse {
        truncated: page.is_truncated(),
        grants: Some(page.items.iter().map(shown).collect()),
        next_marker: page.marker,
    })
}

/// Ends a grant, by those whom it concerns. No policy of the key is needed, and one can forbid it.
pub(crate) fn retire_grant(cx: &mut Cx<'_>, input: RetireGrantRequest) -> Result<Empty, ApiError> {
    let (written, grant_id) = match (input.grant_token, input.key_id, input.grant_id) {
        (Some(token), None, None) => named_by_token(&token)?,
        (None, Some(key_id), Some(grant_id)) => (key_id, grant_id),
        _ => return Err(KmsError::GrantUnnamed.into()),
    };
    check_grant_id(&grant_id)?;

    let found = match key_id(cx, &written)? {
        Some(key_id) => cx.part::<GrantRecord>(&[&key_id, &grant_id])?,
        None => None,
    };
    let concerned = found.as_ref().map(|grant| grant.retired_by()).unwrap_or_default();
    let to = Use { grants: Grants::These(&concerned), ..Use::default() };
    let key = permitted(cx, &written, to, action::RETIRE_GRANT)?;
    key.ensure(Class::Look)?;
    let grant = found.ok_or(KmsError::GrantNotFound)?;
    super::ensure_meant(input.dry_run)?;

    grant::remove(cx, &key, &grant)?;
    Ok(Empty {})
}

/// Ends a grant, by whoever looks after the key.
pub(crate) fn revoke_grant(cx: &mut Cx<'_>, input: RevokeGrantRequest) -> Result<Empty, ApiError> {
    check_grant_id(&input.grant_id)?;

    let key = permitted(cx, &input.key_id, Use::default(), action::REVOKE_GRANT)?;
    key.ensure(Class::Look)?;
    let grant = cx.part::<GrantRecord>(&[&key.key_id, &input.grant_id])?;
    let grant = grant.ok_or(KmsError::GrantNotFound)?;
    super::ensure_meant(input.dry_run)?;

    grant::remove(cx, &key, &grant)?;
    Ok(Empty {})
}

fn check_grant_id(id: &str) -> Result<(), KmsError> {
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { Ok(()) } else { Err(KmsError::InvalidGrantId) }
}
