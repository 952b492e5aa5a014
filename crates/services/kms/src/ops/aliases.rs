//! CreateAlias, UpdateAlias, DeleteAlias and ListAliases.
//!
//! A change of an alias is asked about twice: for the alias, which only policies of identities speak of, and for each key that it leads to.

use std::ops::ControlFlow;

use coffer_core::{Cx, Walk};
use coffer_model::kms::{
    AliasListEntry, CreateAliasRequest, DeleteAliasRequest, ListAliasesRequest, ListAliasesResponse,
    UpdateAliasRequest, action,
};
use coffer_shape::{ApiError, Empty};

use super::keys::All;
use crate::{
    alias::{Alias, AliasRecord, PREFIX, SERVICE_KEYS, check_name, check_owner, existing},
    error::KmsError,
    named::{Use, permitted},
    page,
    state::Class,
};

pub(crate) fn create_alias(cx: &mut Cx<'_>, input: CreateAliasRequest) -> Result<Empty, ApiError> {
    let name = input.alias_name;
    check_name(&name)?;
    ensure_no_alias(&input.target_key_id)?;

    cx.ask(action::CREATE_ALIAS, &Alias::named(cx, &name))?;
    let key = permitted(cx, &input.target_key_id, Use::default(), action::CREATE_ALIAS)?;
    key.ensure(Class::Annotate)?;
    if cx.part::<AliasRecord>(&[&name])?.is_some() {
        return Err(KmsError::AliasExists { arn: cx.arn("kms", &name).to_string() }.into());
    }

    let mut key = (*key).clone();
    key.add_alias(&name)?;
    let now = Some(cx.now());
    cx.save(AliasRecord { name, key_id: key.key_id.clone(), created_at: now, updated_at: now })?;
    cx.save(key)?;
    Ok(Empty {})
}

pub(crate) fn update_alias(cx: &mut Cx<'_>, input: UpdateAliasRequest) -> Result<Empty, ApiError> {
    let name = input.alias_name;
    check_owner(&name)?;
    ensure_no_alias(&input.target_key_id)?;

    let alias = existing(cx, &name)?;
    cx.ask(action::UPDATE_ALIAS, &Alias::named(cx, &name))?;
    let old = permitted(cx, &alias.key_id, Use::default(), action::UPDATE_ALIAS)?;
    let new = permitted(cx, &input.target_key_id, Use::default(), action::UPDATE_ALIAS)?;
    if (old.spec, old.usage) != (new.spec, new.usage) {
        return Err(KmsError::AliasToOtherKind.into());
    }
    new.ensure(Class::Annotate)?;

    if old.key_id != new.key_id {
        let (mut old, mut new) = ((*old).clone(), (*new).clone());
        old.remove_alias(&name);
        new.add_alias(&name)?;
        cx.save(AliasRecord { key_id: new.key_id.clone(), updated_at: Some(cx.now()), ..alias })?;
        cx.save(old)?;
        cx.save(new)?;
    }
    Ok(Empty {})
}

pub(crate) fn delete_alias(cx: &mut Cx<'_>, input: DeleteAliasRequest) -> Result<Empty, ApiError> {
    let name = input.alias_name;
    check_owner(&name)?;

    let alias = existing(cx, &name)?;
    cx.ask(action::DELETE_ALIAS, &Alias::named(cx, &name))?;
    let key = permitted(cx, &alias.key_id, Use::default(), action::DELETE_ALIAS)?;
    key.ensure(Class::Look)?;

    let mut key = (*key).clone();
    key.remove_alias(&name);
    cx.save(key)?;
    cx.erase::<AliasRecord>(&[&name])?;
    Ok(Empty {})
}

/// Aliases of services are there before their keys.
pub(crate) fn list_aliases(
    cx: &mut Cx<'_>,
    input: ListAliasesRequest,
) -> Result<ListAliasesResponse, ApiError> {
    let query = ListAliasesRequest { limit: None, marker: None, ..input.clone() };
    let limit = page::limit(input.limit, 50, 100);

    let permit = cx.ask_through::<AliasRecord>(action::LIST_ALIASES, &All)?;
    let mut aliases: Vec<AliasRecord> = Vec::new();
    if let Some(key_id) = &input.key_id {
        // Whoever may see all aliases may see those of one key.
        let key = permitted(cx, key_id, Use::default(), action::LIST_ALIASES)?;
        for name in &key.aliases {
            aliases.push(existing(cx, name)?);
        }
    } else {
        cx.walk(permit, Walk::default(), &mut |alias| {
            aliases.push((**alias).clone());
            ControlFlow::Continue(())
        })?;
        for (name, _) in SERVICE_KEYS {
            if let Err(place) = aliases.binary_search_by(|alias| alias.name.as_str().cmp(name)) {
                aliases.insert(place, AliasRecord { name: name.to_owned(), ..AliasRecord::default() });
            }
        }
    }
    let aliases = aliases.into_iter().map(|alias| (alias.name.clone(), alias)).collect();
    let page = page::of(&query, input.marker.as_deref(), limit).of_gathered(cx, aliases)?;

    let entry = |alias: &AliasRecord| AliasListEntry {
        alias_name: Some(alias.name.clone()),
        alias_arn: Some(cx.arn("kms", &alias.name).to_string()),
        target_key_id: Some(alias.key_id.clone()).filter(|id| !id.is_empty()),
        creation_date: alias.created_at,
        last_updated_date: alias.updated_at,
    };
    Ok(ListAliasesResponse {
        truncated: page.is_truncated(),
        aliases: Some(page.items.iter().map(entry).collect()),
        next_marker: page.marker,
    })
}

/// An alias leads to a key, and to no other alias.
fn ensure_no_alias(target: &str) -> Result<(), KmsError> {
    if !target.starts_with(PREFIX) && !target.contains(":alias/") {
        return Ok(());
    }
    Err(KmsError::InvalidKeyId { written: target.to_owned() })
}
