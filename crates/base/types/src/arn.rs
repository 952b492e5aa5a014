//! Amazon resource names: `arn:partition:service:region:account:resource`.

use std::{fmt, str::FromStr};

use crate::{AccountId, PARTITION, Region};

/// The longest ARN any served operation accepts.
const ARN_LEN_MAX: usize = 2048;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an ARN")]
pub struct ArnError;

/// An ARN, taken apart. Region and account may be empty, as AWS leaves them out for global resources.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    text: String,
    /// Where the five colons stand; the resource may hold more of them.
    colons: [usize; 5],
}

impl Arn {
    /// An ARN of a regional resource in our partition.
    pub fn regional(service: &str, region: &Region, account: AccountId, resource: &str) -> Self {
        Self::from_parts(service, region.as_str(), account.as_str(), resource)
    }

    /// An ARN of a resource without a region, such as those of IAM.
    pub fn global(service: &str, account: AccountId, resource: &str) -> Self {
        Self::from_parts(service, "", account.as_str(), resource)
    }

    fn from_parts(service: &str, region: &str, account: &str, resource: &str) -> Self {
        let mut text = String::with_capacity(32 + service.len() + region.len() + resource.len());
        let mut colons = [0; 5];
        for (slot, part) in colons.iter_mut().zip(["arn", PARTITION, service, region, account]) {
            text.push_str(part);
            *slot = text.len();
            text.push(':');
        }
        text.push_str(resource);
        Self { text, colons }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn partition(&self) -> &str {
        self.part(0)
    }

    pub fn service(&self) -> &str {
        self.part(1)
    }

    pub fn region(&self) -> &str {
        self.part(2)
    }

    pub fn account(&self) -> &str {
        self.part(3)
    }

    pub fn resource(&self) -> &str {
        self.text.get(self.colons[4] + 1..).unwrap_or_default()
    }

    fn part(&self, index: usize) -> &str {
        match (self.colons.get(index), self.colons.get(index + 1)) {
            (Some(&from), Some(&to)) => self.text.get(from + 1..to).unwrap_or_default(),
            _ => "",
        }
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        if text.len() > ARN_LEN_MAX || !text.starts_with("arn:") {
            return Err(ArnError);
        }
        let mut colons = [0; 5];
        let mut found = text.match_indices(':').map(|(at, _)| at);
        for slot in &mut colons {
            *slot = found.next().ok_or(ArnError)?;
        }
        let arn = Self { text: text.to_owned(), colons };
        if arn.partition().is_empty() || arn.service().is_empty() || arn.resource().is_empty() {
            return Err(ArnError);
        }
        Ok(arn)
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_comes_apart_and_keeps_colons_in_its_resource() {
        let text = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db/password-k3X9aQ";
        let arn: Arn = text.parse().unwrap();
        assert_eq!(
            (arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource()),
            ("aws", "secretsmanager", "eu-west-1", "111122223333", "secret:db/password-k3X9aQ")
        );
        assert_eq!(arn.to_string(), text);
        let account = "111122223333".parse().unwrap();
        assert_eq!(
            Arn::regional(
                "secretsmanager",
                &"eu-west-1".parse().unwrap(),
                account,
                "secret:db/password-k3X9aQ"
            ),
            arn
        );
        assert_eq!(Arn::global("iam", account, "user/ann").as_str(), "arn:aws:iam::111122223333:user/ann");
    }

    #[test]
    fn what_is_not_an_arn_is_refused() {
        for bad in
            ["", "arn:", "arn:aws:iam::1", "db/password", "arn::iam::1:x", "arn:aws:::1:x", "arn:aws:iam::1:"]
        {
            assert_eq!(bad.parse::<Arn>(), Err(ArnError), "{bad}");
        }
    }
}
