//! What the loyalty rows say of the members: their gender, and on which networks they have a user name.

use std::ops::AddAssign;

use super::names::{ByName, Label, NameNumber};
use crate::record::Customer;

/// On which networks a member has a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Networks {
    /// On Facebook alone.
    Facebook,
    /// On Instagram alone.
    Instagram,
    /// On both.
    Both,
    /// On neither.
    Neither,
}

impl Networks {
    /// The networks of a loyalty row: those whose user name is not empty.
    pub const fn of(customer: &Customer<'_>) -> Self {
        match (customer.fb_user.is_empty(), customer.insta_user.is_empty()) {
            (false, true) => Self::Facebook,
            (true, false) => Self::Instagram,
            (false, false) => Self::Both,
            (true, true) => Self::Neither,
        }
    }
}

/// What a member's latest loyalty row says.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    gender: NameNumber,
    networks: Networks,
}

/// Members of one gender, by the networks that they are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GenderTally {
    /// On Facebook alone.
    pub facebook: u64,
    /// On Instagram alone.
    pub instagram: u64,
    /// On both.
    pub both: u64,
    /// On neither.
    pub neither: u64,
}

impl GenderTally {
    const fn of(&mut self, networks: Networks) -> &mut u64 {
        match networks {
            Networks::Facebook => &mut self.facebook,
            Networks::Instagram => &mut self.instagram,
            Networks::Both => &mut self.both,
            Networks::Neither => &mut self.neither,
        }
    }

    /// All of them.
    pub const fn members(&self) -> u64 {
        self.facebook + self.instagram + self.both + self.neither
    }
}

impl AddAssign for GenderTally {
    fn add_assign(&mut self, other: Self) {
        self.facebook += other.facebook;
        self.instagram += other.instagram;
        self.both += other.both;
        self.neither += other.neither;
    }
}

/// Members by what their latest loyalty row says.
#[derive(Debug, Default)]
pub struct Profiles {
    genders: ByName<GenderTally>,
    /// How many members have a row.
    listed: u64,
}

impl Profiles {
    /// Takes a member's row in, in place of the earlier one if there was one.
    pub fn take(&mut self, customer: &Customer<'_>, earlier: Option<Profile>) -> Profile {
        let profile = Profile { gender: self.genders.number(customer.gender), networks: Networks::of(customer) };
        match earlier {
            Some(earlier) => self.change(earlier, |members| members.saturating_sub(1)),
            None => self.listed += 1,
        }
        self.change(profile, |members| members + 1);
        profile
    }

    fn change(&mut self, profile: Profile, change: impl Fn(u64) -> u64) {
        if let Some(gender) = self.genders.get_mut(profile.gender) {
            let members = gender.of(profile.networks);
            *members = change(*members);
        }
    }

    /// How many members have a row.
    pub const fn listed(&self) -> u64 {
        self.listed
    }

    /// The genders and the members of each. `None` when there were too many genders. One that somebody had in an earlier
    /// row only has no members.
    pub fn told(self) -> Option<Vec<(Label, GenderTally)>> {
        self.genders.told()
    }
}
