//! Passwords of users. There is nothing to sign in to with one yet; it is kept for when there is.

use std::sync::Arc;

use coffer_core::{Cx, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use super::users::own_name;
use crate::{
    account::AccountRecord, entity::permitted, error::IamError, login_profile::LoginProfileRecord,
    user::UserRecord,
};

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreateLoginProfile>(create_login_profile);
    registry.serve::<iam::GetLoginProfile>(get_login_profile);
    registry.serve::<iam::UpdateLoginProfile>(update_login_profile);
    registry.serve::<iam::DeleteLoginProfile>(delete_login_profile);
}

fn create_login_profile(
    cx: &mut Cx<'_>,
    input: iam::CreateLoginProfileRequest,
) -> Result<iam::CreateLoginProfileResponse, ApiError> {
    let name = input.user_name.map_or_else(|| own_name(cx), Ok)?;
    let user = permitted::<UserRecord>(cx, &name, action::CREATE_LOGIN_PROFILE)?;
    if find(cx, &user)?.is_some() {
        return Err(IamError::LoginProfileExists { user: user.name.clone() }.into());
    }
    let password = input.password.ok_or(IamError::NoPassword)?;
    AccountRecord::of(cx)?.ensure_conforms(&password)?;
    let mut profile = LoginProfileRecord::new(cx, &user, &password);
    profile.reset_required = input.password_reset_required.unwrap_or_default();
    profile.max_signin_session_seconds = input.max_signin_session_duration;
    let shown = shown(&user, &profile);
    cx.save(profile)?;
    Ok(iam::CreateLoginProfileResponse { login_profile: shown })
}

fn get_login_profile(
    cx: &mut Cx<'_>,
    input: iam::GetLoginProfileRequest,
) -> Result<iam::GetLoginProfileResponse, ApiError> {
    let name = input.user_name.map_or_else(|| own_name(cx), Ok)?;
    let user = permitted::<UserRecord>(cx, &name, action::GET_LOGIN_PROFILE)?;
    let profile = existing(cx, &user)?;
    Ok(iam::GetLoginProfileResponse { login_profile: shown(&user, &profile) })
}

/// What is left out stays as it is.
fn update_login_profile(cx: &mut Cx<'_>, input: iam::UpdateLoginProfileRequest) -> Result<Empty, ApiError> {
    let user = permitted::<UserRecord>(cx, &input.user_name, action::UPDATE_LOGIN_PROFILE)?;
    let mut profile = existing(cx, &user)?.own();
    if let Some(password) = input.password {
        AccountRecord::of(cx)?.ensure_conforms(&password)?;
        profile.set_password(cx, &password);
    }
    if let Some(is_required) = input.password_reset_required {
        profile.reset_required = is_required;
    }
    if input.reset_max_signin_session_duration == Some(true) {
        profile.max_signin_session_seconds = None;
    }
    if let Some(seconds) = input.max_signin_session_duration {
        profile.max_signin_session_seconds = Some(seconds);
    }
    cx.save(profile)?;
    Ok(Empty {})
}

fn delete_login_profile(cx: &mut Cx<'_>, input: iam::DeleteLoginProfileRequest) -> Result<Empty, ApiError> {
    let name = input.user_name.map_or_else(|| own_name(cx), Ok)?;
    let user = permitted::<UserRecord>(cx, &name, action::DELETE_LOGIN_PROFILE)?;
    let profile = existing(cx, &user)?;
    cx.erase::<LoginProfileRecord>(&[&profile.user_id])?;
    Ok(Empty {})
}

fn find(cx: &Cx<'_>, user: &UserRecord) -> Result<Option<Arc<LoginProfileRecord>>, ApiError> {
    cx.part::<LoginProfileRecord>(&[&user.user_id])
}

fn existing(cx: &Cx<'_>, user: &UserRecord) -> Result<Arc<LoginProfileRecord>, ApiError> {
    find(cx, user)?.ok_or_else(|| IamError::NoLoginProfile { user: user.name.clone() }.into())
}

fn shown(user: &UserRecord, profile: &LoginProfileRecord) -> iam::LoginProfile {
    iam::LoginProfile {
        user_name: user.name.clone(),
        create_date: profile.created_at,
        password_reset_required: Some(profile.reset_required),
        max_signin_session_duration: profile.max_signin_session_seconds,
    }
}
