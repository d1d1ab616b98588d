//! The first user and key of an organization, which nobody could make over the REST API.
//!
//! Promises: an organization, its user, the user's role and key are made together or not at all. With a key that the
//! caller chose, any number of replicas may ask at once and again: one organization is made.

use millstream_api::crn::{CrnPattern, Scope};
use millstream_api::ids::{ApiKeyId, OrganizationId, RoleBindingId, UserId};
use millstream_api::rest::iam::Secret;
use millstream_api::role::Role;

use crate::control_plane::ControlPlane;
use crate::domain::api_key::{SECRET_CHARS, secret_from_random};
use crate::domain::names;
use crate::domain::quota::{self, Share};
use crate::domain::user::{UserError, check_password, normalize_email};
use crate::passwords::PasswordError;
use crate::random::{self, RandomError};
use crate::store::error::StoreError;
use crate::store::quotas::TakeError;
use crate::store::{api_keys, organizations, quotas, role_bindings, users};

/// Why an organization was not made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The name is not acceptable.
    #[error("the organization's name {0}")]
    Name(#[from] names::TextError),
    /// The first user's e-mail address or password is not acceptable.
    #[error("the first user's {0}")]
    User(#[from] UserError),
    /// The first user's password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The key's secret has another length.
    #[error("the secret of the first API key must have {SECRET_CHARS} characters")]
    KeySecret,
    /// The key exists and its secret is another one, or it does not open an organization.
    #[error(
        "API key {0} exists and has another secret: bring back the secret with which the organization was made, or give \
         a new key and another organization is made"
    )]
    KeyTaken(ApiKeyId),
    /// The database failed. Nothing was stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A quota would be exceeded, which the first user and key of an organization never do.
    #[error(transparent)]
    Quota(#[from] TakeError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// A new organization and the key that opens it. The secret cannot be had again.
#[derive(Debug, Clone)]
pub struct Bootstrapped {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Its first user, who owns the key.
    pub user_id: UserId,
    /// A Cloud API key.
    pub cloud_api_key: ApiKeyId,
    /// Its secret.
    pub cloud_api_secret: Secret,
    /// How the first user logs in; none if it was given no e-mail address.
    pub login: Option<FirstLogin>,
}

/// How the first user of an organization logs in. The password cannot be had again.
#[derive(Debug, Clone)]
pub struct FirstLogin {
    /// The e-mail address, as it is stored.
    pub email: String,
    /// The password.
    pub password: Secret,
}

/// Credentials of a new organization that its maker chose, and keeps.
#[derive(Debug, Clone)]
pub struct FirstCredentials {
    /// Id of its Cloud API key.
    pub cloud_api_key: ApiKeyId,
    /// Its secret, 64 characters.
    pub cloud_api_secret: Secret,
    /// How the first user logs in, if it can.
    pub login: Option<FirstLogin>,
}

impl ControlPlane {
    /// Makes an organization with a first user, who administers it, and a Cloud API key. With an e-mail address, the
    /// first user gets a password and can log in. Each call makes another one: the caller keeps the answer, and calls
    /// this at the first start only.
    pub async fn bootstrap(
        &self,
        organization_display_name: &str,
        first_user_email: Option<&str>,
    ) -> Result<Bootstrapped, BootstrapError> {
        let login = first_user_email.map(new_login).transpose()?;
        let credentials = FirstCredentials {
            cloud_api_key: ApiKeyId::from_random(random::bytes()?),
            cloud_api_secret: Secret::new(secret_from_random(random::bytes()?)),
            login,
        };
        self.make_organization(organization_display_name, credentials).await
    }

    /// Makes an organization with these credentials unless one was made with them before. Returns whether it did.
    pub async fn ensure_organization(
        &self,
        organization_display_name: &str,
        mut credentials: FirstCredentials,
    ) -> Result<bool, BootstrapError> {
        if credentials.cloud_api_secret.expose().chars().count() != SECRET_CHARS {
            return Err(BootstrapError::KeySecret);
        }
        if let Some(login) = &mut credentials.login {
            login.email = normalize_email(&login.email)?;
            check_password(login.password.expose())?;
        }
        if self.was_made_with(&credentials).await? {
            return Ok(false);
        }
        match self.make_organization(organization_display_name, credentials.clone()).await {
            Ok(_) => Ok(true),
            // Another replica was faster.
            Err(BootstrapError::Store(StoreError::Duplicate)) if self.was_made_with(&credentials).await? => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn was_made_with(&self, credentials: &FirstCredentials) -> Result<bool, BootstrapError> {
        let id = &credentials.cloud_api_key;
        let mut transaction = self.app.database.read().await?;
        let Some(known) = api_keys::find_credential(&mut transaction, id).await? else { return Ok(false) };
        let secret = credentials.cloud_api_secret.expose();
        if !self.app.secrets.verify_api_key_secret(id, secret, &known.secret_hmac) {
            return Err(BootstrapError::KeyTaken(id.clone()));
        }
        Ok(true)
    }

    async fn make_organization(
        &self,
        display_name: &str,
        credentials: FirstCredentials,
    ) -> Result<Bootstrapped, BootstrapError> {
        names::check_display_name(display_name)?;
        let app = &self.app;
        let FirstCredentials { cloud_api_key, cloud_api_secret, login } = credentials;
        let password_hash = match &login {
            Some(login) => app.passwords.hash(login.password.expose()).await?,
            None => String::new(),
        };
        let now = app.clock.now();
        let organization_id = OrganizationId(uuid::Builder::from_random_bytes(random::bytes()?).into_uuid());
        let user_id = UserId::from_random(random::bytes()?);
        let key = api_keys::ApiKey {
            id: cloud_api_key.clone(),
            owner_service_account_id: None,
            owner_user_id: Some(user_id.clone()),
            cluster_id: None,
            environment_id: None,
            cluster_kind: None,
            physical_cluster_id: None,
            display_name: "first key".into(),
            description: String::new(),
            secret_hmac: app.secrets.hash_api_key_secret(&cloud_api_key, cloud_api_secret.expose()),
            revision: 0,
            created_at: now.0,
            updated_at: now.0,
        };
        let user = users::User {
            id: user_id.clone(),
            email: login.as_ref().map(|login| login.email.clone()).unwrap_or_default(),
            full_name: String::new(),
            password_hash,
            created_at: now.0,
            updated_at: now.0,
        };
        let binding = role_bindings::RoleBinding {
            organization_id,
            id: RoleBindingId::from_random(random::bytes()?),
            principal_service_account_id: None,
            principal_user_id: Some(user_id.clone()),
            role_name: Role::OrganizationAdmin.to_string(),
            crn_pattern: CrnPattern { organization: organization_id, scope: Scope::Organization }.to_string(),
            sent_crn_pattern: String::new(),
            created_at: now.0,
        };
        let mut transaction = app.database.write().await?;
        organizations::insert(&mut transaction, organization_id, display_name, now).await?;
        users::insert_into_organization(&mut transaction, organization_id, &user).await?;
        api_keys::insert_into_organization(&mut transaction, organization_id, &key).await?;
        role_bindings::insert(&mut transaction, &binding, &Scope::Organization).await?;
        let mut taken = key.shares();
        taken.extend(role_bindings::shares(&Scope::Organization));
        taken.push(Share::of_organization(&quota::USERS));
        quotas::take_in(&mut transaction, organization_id, taken, now).await?;
        transaction.commit().await?;
        Ok(Bootstrapped { organization_id, user_id, cloud_api_key, cloud_api_secret, login })
    }
}

/// A password as random as the secret of an API key.
fn new_login(email: &str) -> Result<FirstLogin, BootstrapError> {
    let email = normalize_email(email)?;
    Ok(FirstLogin { email, password: Secret::new(secret_from_random(random::bytes()?)) })
}
