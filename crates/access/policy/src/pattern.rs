//! Patterns of actions and resources.
//!
//! `*` is any run, also an empty one, and `?` is one character. The matcher walks both texts once and steps back to the last
//! star only, so that `*a*a*a*b` costs a product of lengths and not more.

/// Whether a pattern of actions covers an action. Case makes no difference.
pub fn matches_action(pattern: &str, action: &str) -> bool {
    is_like(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
}

/// Whether a pattern of resources covers an ARN. Wildcards do not cross the first five colons; a pattern with fewer fields
/// ends in stars. Variables are not known here: a pattern with one covers what is spelt like it.
pub fn matches_resource(pattern: &str, arn: &str) -> bool {
    if pattern.bytes().all(|byte| byte == b'*') && !pattern.is_empty() {
        return true;
    }
    let mut patterns = pattern.splitn(6, ':');
    arn.splitn(6, ':').all(|part| is_like(patterns.next().unwrap_or("*"), part)) && patterns.next().is_none()
}

fn is_like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&letter) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == letter => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|letter| *letter == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions() {
        let action = "secretsmanager:GetSecretValue";
        for pattern in [
            "*",
            "secretsmanager:*",
            "SECRETSMANAGER:getsecretvalue",
            "secretsmanager:Get*Value",
            "secretsmanager:?et*",
        ] {
            assert!(matches_action(pattern, action), "{pattern}");
        }
        for pattern in
            ["", "secretsmanager:", "secretsmanager:Get", "kms:*", "secretsmanager:GetSecretValue?"]
        {
            assert!(!matches_action(pattern, action), "{pattern}");
        }
    }

    #[test]
    fn resources() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db/password-k3X9aQ";
        for pattern in [
            "*",
            "**",
            arn,
            "arn:*",
            "arn:aws:secretsmanager",
            "arn:*:secretsmanager:*:111122223333:secret:db/*",
            "arn:aws:secretsmanager:eu-*:*:*-??????",
        ] {
            assert!(matches_resource(pattern, arn), "{pattern}");
        }
        for pattern in [
            "",
            "arn:aws:*:secret:db/password-k3X9aQ",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:DB/*",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db/password-?????",
        ] {
            assert!(!matches_resource(pattern, arn), "{pattern}");
        }
    }

    #[test]
    fn many_stars_are_still_quick() {
        let pattern = "*a".repeat(1000) + "b";
        assert!(!matches_action(&pattern, &"a".repeat(10_000)));
    }
}
