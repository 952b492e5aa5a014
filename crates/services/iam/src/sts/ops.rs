//! The operations that concern no role.

use coffer_core::{Cx, PrincipalKind, Session, Unscoped};
use coffer_model::sts::{
    DecodeAuthorizationMessageRequest, DecodeAuthorizationMessageResponse, GetAccessKeyInfoRequest,
    GetAccessKeyInfoResponse, GetCallerIdentityRequest, GetCallerIdentityResponse, GetSessionTokenRequest,
    GetSessionTokenResponse, action,
};
use coffer_shape::ApiError;

use super::{
    error::StsError,
    session_token::{self, Holder},
};
use crate::access_key::account_of;

/// Half a day, and for the root of an account an hour.
const SECONDS_DEFAULT: i64 = 12 * 60 * 60;
const SECONDS_MAX_OF_ROOT: i64 = 60 * 60;

/// Says who the caller is. Every client asks this first.
pub(super) fn get_caller_identity(
    cx: &mut Cx<'_>,
    _: GetCallerIdentityRequest,
) -> Result<GetCallerIdentityResponse, ApiError> {
    cx.needs_no_permission("AWS answers this call even against an explicit deny");
    let caller = cx.caller();
    Ok(GetCallerIdentityResponse {
        user_id: Some(caller.user_id.clone()),
        account: Some(caller.account.to_string()),
        arn: Some(caller.arn.clone()),
    })
}

/// Says whose key an id belongs to. The account is in the id; whether the key exists is another question.
pub(super) fn get_access_key_info(
    cx: &mut Cx<'_>,
    input: GetAccessKeyInfoRequest,
) -> Result<GetAccessKeyInfoResponse, ApiError> {
    cx.ask(action::GET_ACCESS_KEY_INFO, &Unscoped)?;
    ensure_no_plain_session(cx, "GetAccessKeyInfo")?;
    let account = account_of(&input.access_key_id).ok_or(StsError::NotAKeyId)?;
    Ok(GetAccessKeyInfoResponse { account: Some(account.to_string()) })
}

/// No service here encodes why it refused, so there is no message that could be decoded.
pub(super) fn decode_authorization_message(
    cx: &mut Cx<'_>,
    _: DecodeAuthorizationMessageRequest,
) -> Result<DecodeAuthorizationMessageResponse, ApiError> {
    cx.ask(action::DECODE_AUTHORIZATION_MESSAGE, &Unscoped)?;
    ensure_no_plain_session(cx, "DecodeAuthorizationMessage")?;
    Err(StsError::NotAMessage.into())
}

/// Gives a user credentials that end by themselves, and may do what he may.
pub(super) fn get_session_token(
    cx: &mut Cx<'_>,
    input: GetSessionTokenRequest,
) -> Result<GetSessionTokenResponse, ApiError> {
    cx.needs_no_permission("AWS asks for none, and policies cannot deny it");
    let caller = cx.caller();
    if caller.session.is_some() {
        return Err(StsError::HasSession { operation: "GetSessionToken" }.into());
    }
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(StsError::NoSuchDevice.into());
    }
    let wanted = input.duration_seconds.unwrap_or(SECONDS_DEFAULT);
    let (holder, seconds) = match &caller.kind {
        PrincipalKind::User { name } => {
            (Holder::User { name: name.clone(), id: caller.user_id.clone() }, wanted)
        }
        PrincipalKind::Root => (Holder::Root, wanted.min(SECONDS_MAX_OF_ROOT)),
        PrincipalKind::AssumedRole(_) | PrincipalKind::WebIdentity(_) | PrincipalKind::Service { .. } => {
            return Err(StsError::HasSession { operation: "GetSessionToken" }.into());
        }
    };
    let session = Session {
        issued_at: cx.now(),
        expires_at: cx.now().plus(session_token::seconds(seconds)),
        ..Session::default()
    };
    let credentials = session_token::give_out(cx, caller.account, holder, session)?;
    Ok(GetSessionTokenResponse { credentials: Some(credentials), ..GetSessionTokenResponse::default() })
}

/// Credentials of GetSessionToken are good for AssumeRole and GetCallerIdentity, and for nothing else of STS.
fn ensure_no_plain_session(cx: &Cx<'_>, operation: &'static str) -> Result<(), StsError> {
    let caller = cx.caller();
    match caller.kind {
        PrincipalKind::User { .. } | PrincipalKind::Root if caller.session.is_some() => {
            Err(StsError::HasSession { operation })
        }
        _ => Ok(()),
    }
}
