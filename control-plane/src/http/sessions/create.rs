//! `POST /iam/v2/sessions`: an e-mail address and a password for a token, without any other credentials.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use millstream_api::ids::OrganizationId;
use millstream_api::rest::iam::{API_VERSION, CreateSession, Secret, Session};

use crate::app::App;
use crate::domain::crn;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::normalize_email;
use crate::http::answers::{created, metadata};
use crate::http::body::JsonBody;
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::random;
use crate::session_tokens::{self, SESSION_SECONDS, SignError};
use crate::store::sessions::{self, Login, Session as Row};

/// Random bytes of a session's id.
const ID_BYTES: usize = 16;

/// Logs in with a password.
#[utoipa::path(post, path = "/iam/v2/sessions", operation_id = "createIamV2Session", tag = "Sessions", security(()),
    request_body = CreateSession, responses((status = 201, body = Session)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Arc<Call>>,
    body: JsonBody<CreateSession>,
) -> Result<Response, ApiError> {
    let email = normalize_email(&body.value.email)?;
    let organization = parse_organization(body.value.organization_id.as_deref())?;
    let now = app.clock.now();
    let attempt = app.login_attempts.begin(&email, call.address, now);
    attempt.map_err(|seconds| ApiError::too_many_requests(None).retry_after(seconds))?;
    let login = find_login(&app, &email, organization, body.value.password.expose()).await?;
    app.login_attempts.succeeded(&email);
    let row = Row {
        id: uuid::Builder::from_random_bytes(random::bytes::<ID_BYTES>()?).into_uuid().to_string(),
        user_id: login.user_id.clone(),
        created_at: now.0,
        expires_at: now.0 + SESSION_SECONDS * 1_000_000,
    };
    let token = session_tokens::sign(&app.secrets, &app.public_url, (row.user_id.as_str(), &row.id), now)?;
    let mut transaction = app.database.write().await?;
    sessions::begin(&mut transaction, &login, &row).await?;
    transaction.commit().await?;
    let path = format!("/iam/v2/sessions/{}", row.id);
    let resource_name = crn::session(login.organization_id, &row.id);
    let answer = Session {
        api_version: API_VERSION.into(),
        kind: "Session".into(),
        metadata: metadata(&app, &path, resource_name, row.created_at, row.created_at),
        id: row.id,
        organization_id: login.organization_id.to_string(),
        user_id: row.user_id.to_string(),
        token_type: "Bearer".into(),
        token: Secret::new(token),
        expires_at: Timestamp(row.expires_at).to_utc(),
    };
    Ok(created(&answer.metadata, &answer))
}

fn parse_organization(text: Option<&str>) -> Result<Option<OrganizationId>, ApiError> {
    let detail = "organization_id must be a UUID";
    text.map(str::parse).transpose().map_err(|_| ApiError::bad_request(detail).at("/organization_id"))
}

/// The user whose password it is. Takes as long for an unknown address as for a known one.
async fn find_login(
    app: &App,
    email: &str,
    organization: Option<OrganizationId>,
    password: &str,
) -> Result<Login, ApiError> {
    let mut transaction = app.database.read().await?;
    let logins = sessions::find_logins(&mut transaction, email, organization).await?;
    drop(transaction);
    if logins.is_empty() {
        app.passwords.verify(password, None).await?;
    }
    for login in logins {
        if app.passwords.verify(password, Some(&login.password_hash)).await? {
            return Ok(login);
        }
    }
    Err(ApiError::unauthenticated("the e-mail address or the password is wrong"))
}

impl From<SignError> for ApiError {
    fn from(error: SignError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a session cannot begin");
        Self::internal()
    }
}
