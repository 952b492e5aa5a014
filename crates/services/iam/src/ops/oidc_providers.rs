//! Identity providers that speak OpenID Connect.

use coffer_core::{Cx, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};
use std::ops::ControlFlow;

use crate::{
    entity::{self, Planned, own, page_of_tags, permitted},
    error::IamError,
    oidc_provider::{self, OidcProviderRecord, known_by},
    tags,
};

const PROVIDERS_MAX: usize = 100;
const CLIENT_IDS_MAX: usize = 100;
const THUMBPRINTS_MAX: usize = 5;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreateOpenIDConnectProvider>(create_provider);
    registry.serve::<iam::GetOpenIDConnectProvider>(get_provider);
    registry.serve::<iam::ListOpenIDConnectProviders>(list_providers);
    registry.serve::<iam::DeleteOpenIDConnectProvider>(delete_provider);
    registry.serve::<iam::UpdateOpenIDConnectProviderThumbprint>(update_thumbprints);
    registry.serve::<iam::AddClientIDToOpenIDConnectProvider>(add_client_id);
    registry.serve::<iam::RemoveClientIDFromOpenIDConnectProvider>(remove_client_id);
    registry.serve::<iam::TagOpenIDConnectProvider>(|cx, input| {
        let (arn, tags) = (&input.open_id_connect_provider_arn, input.tags);
        entity::tag::<OidcProviderRecord>(cx, arn, tags, action::TAG_OPEN_ID_CONNECT_PROVIDER)?;
        Ok(Empty {})
    });
    registry.serve::<iam::UntagOpenIDConnectProvider>(|cx, input| {
        let (arn, keys) = (&input.open_id_connect_provider_arn, &input.tag_keys);
        entity::untag::<OidcProviderRecord>(cx, arn, keys, action::UNTAG_OPEN_ID_CONNECT_PROVIDER)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListOpenIDConnectProviderTags>(list_provider_tags);
}

fn create_provider(
    cx: &mut Cx<'_>,
    input: iam::CreateOpenIDConnectProviderRequest,
) -> Result<iam::CreateOpenIDConnectProviderResponse, ApiError> {
    let url = known_by(&input.url)?;
    let arn = oidc_provider::arn(cx, url);
    let (create, tag) = (action::CREATE_OPEN_ID_CONNECT_PROVIDER, action::TAG_OPEN_ID_CONNECT_PROVIDER);
    entity::ask_to_make(cx, &Planned(arn.clone()), create, tag, input.tags.as_ref())?;
    if input.context_provider.is_some() || input.identity_center_instance_arn.is_some() {
        return Err(IamError::IdentityCenter.into());
    }
    if cx.exists::<OidcProviderRecord>(&[url], None)? {
        return Err(IamError::ProviderExists { url: input.url }.into());
    }
    if cx.count::<OidcProviderRecord>()? >= PROVIDERS_MAX {
        let (name, limit) = ("OpenIdConnectProvidersPerAccount", PROVIDERS_MAX);
        return Err(IamError::Quota { name, limit }.into());
    }
    let mut provider = OidcProviderRecord {
        url: url.to_owned(),
        arn: arn.clone(),
        created_at: cx.now(),
        ..OidcProviderRecord::default()
    };
    for id in input.client_id_list.unwrap_or_default() {
        add(&mut provider, id)?;
    }
    provider.thumbprints = thumbprints(input.thumbprint_list.unwrap_or_default())?;
    tags::set(&mut provider.tags, input.tags.unwrap_or_default())?;
    let tags = tags::shown(&provider.tags);
    cx.save(provider)?;
    Ok(iam::CreateOpenIDConnectProviderResponse { open_id_connect_provider_arn: Some(arn), tags })
}

fn get_provider(
    cx: &mut Cx<'_>,
    input: iam::GetOpenIDConnectProviderRequest,
) -> Result<iam::GetOpenIDConnectProviderResponse, ApiError> {
    let action = action::GET_OPEN_ID_CONNECT_PROVIDER;
    let provider = permitted::<OidcProviderRecord>(cx, &input.open_id_connect_provider_arn, action)?;
    Ok(iam::GetOpenIDConnectProviderResponse {
        url: Some(provider.url.clone()),
        client_id_list: Some(provider.client_ids.clone()),
        thumbprint_list: Some(provider.thumbprints.clone()),
        create_date: Some(provider.created_at),
        tags: tags::shown(&provider.tags),
        ..iam::GetOpenIDConnectProviderResponse::default()
    })
}

/// All in one answer: there are never many.
fn list_providers(
    cx: &mut Cx<'_>,
    _: iam::ListOpenIDConnectProvidersRequest,
) -> Result<iam::ListOpenIDConnectProvidersResponse, ApiError> {
    let permit = cx.ask_all::<OidcProviderRecord>(action::LIST_OPEN_ID_CONNECT_PROVIDERS)?;
    let mut shown = Vec::new();
    cx.walk(permit, coffer_core::Walk::default(), &mut |provider| {
        shown.push(iam::OpenIDConnectProviderListEntry {
            arn: Some(provider.arn.clone()),
            ..iam::OpenIDConnectProviderListEntry::default()
        });
        ControlFlow::Continue(())
    })?;
    Ok(iam::ListOpenIDConnectProvidersResponse { open_id_connect_provider_list: Some(shown) })
}

fn delete_provider(
    cx: &mut Cx<'_>,
    input: iam::DeleteOpenIDConnectProviderRequest,
) -> Result<Empty, ApiError> {
    let action = action::DELETE_OPEN_ID_CONNECT_PROVIDER;
    let provider = permitted::<OidcProviderRecord>(cx, &input.open_id_connect_provider_arn, action)?;
    cx.erase::<OidcProviderRecord>(&[&provider.url])?;
    Ok(Empty {})
}

fn update_thumbprints(
    cx: &mut Cx<'_>,
    input: iam::UpdateOpenIDConnectProviderThumbprintRequest,
) -> Result<Empty, ApiError> {
    let action = action::UPDATE_OPEN_ID_CONNECT_PROVIDER_THUMBPRINT;
    let mut provider = own::<OidcProviderRecord>(cx, &input.open_id_connect_provider_arn, action)?;
    provider.thumbprints = thumbprints(input.thumbprint_list)?;
    cx.save(provider)?;
    Ok(Empty {})
}

fn add_client_id(
    cx: &mut Cx<'_>,
    input: iam::AddClientIDToOpenIDConnectProviderRequest,
) -> Result<Empty, ApiError> {
    let action = action::ADD_CLIENT_ID_TO_OPEN_ID_CONNECT_PROVIDER;
    let mut provider = own::<OidcProviderRecord>(cx, &input.open_id_connect_provider_arn, action)?;
    add(&mut provider, input.client_id)?;
    cx.save(provider)?;
    Ok(Empty {})
}

/// One that is not there is passed over, as AWS documents.
fn remove_client_id(
    cx: &mut Cx<'_>,
    input: iam::RemoveClientIDFromOpenIDConnectProviderRequest,
) -> Result<Empty, ApiError> {
    let action = action::REMOVE_CLIENT_ID_FROM_OPEN_ID_CONNECT_PROVIDER;
    let mut provider = own::<OidcProviderRecord>(cx, &input.open_id_connect_provider_arn, action)?;
    provider.client_ids.retain(|known| *known != input.client_id);
    cx.save(provider)?;
    Ok(Empty {})
}

fn list_provider_tags(
    cx: &mut Cx<'_>,
    input: iam::ListOpenIDConnectProviderTagsRequest,
) -> Result<iam::ListOpenIDConnectProviderTagsResponse, ApiError> {
    let query = iam::ListOpenIDConnectProviderTagsRequest { marker: None, max_items: None, ..input.clone() };
    let (arn, marker, max) = (&input.open_id_connect_provider_arn, input.marker.as_deref(), input.max_items);
    let action = action::LIST_OPEN_ID_CONNECT_PROVIDER_TAGS;
    let page = page_of_tags::<OidcProviderRecord, _>(cx, arn, &query, marker, max, action)?;
    Ok(iam::ListOpenIDConnectProviderTagsResponse {
        is_truncated: page.is_truncated(),
        tags: page.items,
        marker: page.marker,
    })
}

/// A client that is known already stays so, which AWS calls a success.
fn add(provider: &mut OidcProviderRecord, client_id: String) -> Result<(), IamError> {
    if provider.client_ids.contains(&client_id) {
        return Ok(());
    }
    if provider.client_ids.len() >= CLIENT_IDS_MAX {
        return Err(IamError::Quota { name: "ClientIdsPerOpenIdConnectProvider", limit: CLIENT_IDS_MAX });
    }
    provider.client_ids.push(client_id);
    Ok(())
}

/// They are hexadecimal, and shown as they were written.
fn thumbprints(list: Vec<String>) -> Result<Vec<String>, IamError> {
    if list.len() > THUMBPRINTS_MAX {
        return Err(IamError::TooManyThumbprints);
    }
    if list.iter().any(|thumbprint| !thumbprint.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(IamError::InvalidThumbprint);
    }
    Ok(list)
}
