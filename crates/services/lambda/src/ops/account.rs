//! GetAccountSettings.

use coffer_core::Cx;
use coffer_model::lambda::{
    AccountLimit, AccountUsage, GetAccountSettingsRequest, GetAccountSettingsResponse, action,
};
use coffer_shape::ApiError;

use crate::{
    concurrency::{CONCURRENT_MAX, usage},
    package::UNZIPPED_BYTES_MAX,
};

/// AWS's quotas; how much code an account has is not limited here.
const TOTAL_CODE_BYTES: i64 = 80_530_636_800;
const ZIPPED_BYTES: i64 = 52_428_800;

pub(crate) fn get_account_settings(
    cx: &mut Cx<'_>,
    _: GetAccountSettingsRequest,
) -> Result<GetAccountSettingsResponse, ApiError> {
    let permit = cx.ask_all(action::GET_ACCOUNT_SETTINGS)?;
    let usage = usage(cx, permit, None)?;
    Ok(GetAccountSettingsResponse {
        account_limit: Some(AccountLimit {
            total_code_size: Some(TOTAL_CODE_BYTES),
            code_size_unzipped: Some(UNZIPPED_BYTES_MAX),
            code_size_zipped: Some(ZIPPED_BYTES),
            concurrent_executions: Some(CONCURRENT_MAX),
            unreserved_concurrent_executions: Some(usage.unreserved()),
        }),
        account_usage: Some(AccountUsage {
            total_code_size: Some(usage.code_bytes),
            function_count: Some(usage.functions),
        }),
    })
}
