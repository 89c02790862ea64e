//! What a password must be.

use super::catalog::PasswordPolicy;
use super::error::{Error, Reason, Violations};

/// Most bytes of a password; longer ones are refused rather than cut.
pub const BYTES_MAX: usize = 256;

/// Judges a new password under `policy`; characters are counted as code points (NIST SP 800-63B, 3.1.1.2).
///
/// # Errors
/// - [`Reason::PasswordTooLong`] above 256 bytes.
/// - [`Reason::PasswordTooShort`] below the policy's length.
/// - [`Reason::PasswordTooSimple`] without one of the classes of characters that the policy asks for (CE-13).
pub fn judge(field: &str, password: &str, policy: &PasswordPolicy) -> Result<(), Error> {
    let mut violations = Violations::default();
    if password.len() > BYTES_MAX {
        violations.add(field, Reason::PasswordTooLong, "must be at most 256 bytes");
    }
    let least = policy.min_length.max(PasswordPolicy::FLOOR);
    if password.chars().count() < least {
        violations.add(field, Reason::PasswordTooShort, format!("must be at least {least} characters"));
    }
    for missing in missing_classes(password, policy) {
        violations.add(field, Reason::PasswordTooSimple, format!("must have {missing}"));
    }
    violations.finish()
}

fn missing_classes(password: &str, policy: &PasswordPolicy) -> Vec<String> {
    let has = |class: fn(char) -> bool| password.chars().any(class);
    let mut missing = Vec::new();
    if policy.lower && !has(char::is_lowercase) {
        missing.push("a lower-case letter".to_owned());
    }
    if policy.upper && !has(char::is_uppercase) {
        missing.push("an upper-case letter".to_owned());
    }
    if policy.digit && !has(|c| c.is_ascii_digit()) {
        missing.push("a digit".to_owned());
    }
    if let Some(symbols) = &policy.symbols
        && !password.chars().any(|c| symbols.contains(c))
    {
        missing.push(format!("one of {symbols}"));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lack_is_told_and_all_at_once() {
        let policy =
            PasswordPolicy { min_length: 8, lower: true, upper: true, digit: true, symbols: Some("!@".into()) };
        assert!(judge("password", "Correct4!", &policy).is_ok());

        let error = judge("password", "abc", &policy).expect_err("too short and too simple");
        let reasons: Vec<_> = error.violations.iter().map(|violation| violation.reason).collect();
        assert_eq!(error.reason, Reason::RequestInvalid);
        assert_eq!(
            reasons,
            [Reason::PasswordTooShort, Reason::PasswordTooSimple, Reason::PasswordTooSimple, Reason::PasswordTooSimple]
        );
    }

    #[test]
    fn no_policy_goes_below_the_floor() {
        let policy = PasswordPolicy { min_length: 1, ..PasswordPolicy::default() };
        assert!(judge("password", "seven77", &policy).is_err());
        assert!(judge("password", "eight888", &policy).is_ok());
    }
}
