//! GetRandomPassword.

use coffer_core::{Cx, Unscoped};
use coffer_model::secretsmanager::{GetRandomPasswordRequest, GetRandomPasswordResponse, action};
use coffer_shape::ApiError;

use crate::password::Recipe;

const LENGTH_DEFAULT: usize = 32;

/// Makes a password up. No secret is involved, and nothing is stored.
pub(crate) fn get_random_password(
    cx: &mut Cx<'_>,
    input: GetRandomPasswordRequest,
) -> Result<GetRandomPasswordResponse, ApiError> {
    let wanted = |excluded: Option<bool>| !excluded.unwrap_or(false);
    let recipe = Recipe {
        // The model admits 1 to 4096.
        length: input
            .password_length
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(LENGTH_DEFAULT),
        lower: wanted(input.exclude_lowercase),
        upper: wanted(input.exclude_uppercase),
        digits: wanted(input.exclude_numbers),
        punctuation: wanted(input.exclude_punctuation),
        space: input.include_space.unwrap_or(false),
        excluded: input.exclude_characters.unwrap_or_default(),
        require_each: input.require_each_included_type.unwrap_or(true),
    };

    cx.ask(action::GET_RANDOM_PASSWORD, &Unscoped)?;

    let password = recipe.make(cx.entropy())?;
    Ok(GetRandomPasswordResponse { random_password: Some(password) })
}
