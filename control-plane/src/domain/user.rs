//! What users give: e-mail addresses and passwords.

/// Characters of an e-mail address at most.
const MAX_EMAIL_CHARS: usize = 254;
/// Bytes of a password at least.
const MIN_PASSWORD_BYTES: usize = 12;
/// Bytes of a password at most.
const MAX_PASSWORD_BYTES: usize = 256;

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Not an address.
    #[error("email must be an e-mail address of at most {MAX_EMAIL_CHARS} characters")]
    Email,
    /// Too short or too long.
    #[error("password must have {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes")]
    Password,
}

/// The address in the form in which it is stored and compared.
pub fn normalize_email(text: &str) -> Result<String, UserError> {
    let (local, domain) = text.rsplit_once('@').ok_or(UserError::Email)?;
    let printable = |character: char| !character.is_whitespace() && !character.is_control();
    let well_formed = !local.is_empty()
        && !domain.is_empty()
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !local.contains('@')
        && text.chars().count() <= MAX_EMAIL_CHARS
        && text.chars().all(printable);
    if well_formed { Ok(text.to_lowercase()) } else { Err(UserError::Email) }
}

/// Checks a new password.
pub fn check_password(password: &str) -> Result<(), UserError> {
    let fits = (MIN_PASSWORD_BYTES..=MAX_PASSWORD_BYTES).contains(&password.len());
    if fits { Ok(()) } else { Err(UserError::Password) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_in_lower_case() {
        assert_eq!(normalize_email("Ann@Example.COM").as_deref(), Ok("ann@example.com"));
        let long = format!("{}@example.com", "a".repeat(MAX_EMAIL_CHARS));
        for wrong in ["", "ann", "@example.com", "ann@", "a b@example.com", "a@b@c", "ann@.com", "a\0@b.c", &long] {
            assert_eq!(normalize_email(wrong), Err(UserError::Email), "{wrong:?}");
        }
    }

    #[test]
    fn a_password_is_neither_short_nor_endless() {
        assert_eq!(check_password("twelve bytes"), Ok(()));
        assert_eq!(check_password("eleven byte"), Err(UserError::Password));
        assert_eq!(check_password(&"x".repeat(MAX_PASSWORD_BYTES + 1)), Err(UserError::Password));
    }
}
