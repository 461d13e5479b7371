//! What members did, and what the others did.

use std::ops::AddAssign;

use super::money::{Amount, Sum};

/// Which of the two a customer is, once and for all: what they were when their first conversion came. Otherwise
/// everybody who buys would count as a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Members at their first conversion.
    Members,
    /// Everybody else.
    Others,
}

/// How far a customer went, in this order: a basket counts only behind a click, a purchase only behind such a basket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stage {
    /// No click yet.
    #[default]
    Outside,
    /// Clicked.
    Clicked,
    /// Clicked, then filled a basket.
    ThenBasket,
    /// Clicked, then filled a basket, then bought.
    ThenPurchase,
}

impl Stage {
    /// The stage behind this one.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Outside => Some(Self::Clicked),
            Self::Clicked => Some(Self::ThenBasket),
            Self::ThenBasket => Some(Self::ThenPurchase),
            Self::ThenPurchase => None,
        }
    }
}

/// What the customers of a group did together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deeds {
    /// Customers who did anything.
    pub customers: u64,
    /// Customers who filled a basket.
    pub basket_fillers: u64,
    /// Customers who bought.
    pub buyers: u64,
    /// Clicks.
    pub clicks: u64,
    /// Clicks that get a code.
    pub codes: u64,
    /// Baskets.
    pub baskets: u64,
    /// Purchases.
    pub purchases: u64,
    /// Purchases whose total cost has too many digits to be in any sum.
    pub unsummed: u64,
    /// What the other purchases cost together.
    pub revenue: Sum,
    /// Purchases that made a member.
    pub new_members: u64,
    /// Customers who clicked.
    pub clicked: u64,
    /// Of those, customers who then filled a basket.
    pub then_basket: u64,
    /// Of those, customers who then bought.
    pub then_purchase: u64,
}

impl Deeds {
    /// Counts what a purchase cost.
    pub fn earn(&mut self, amount: Option<Amount>) {
        match amount {
            Some(amount) => self.revenue += amount,
            None => self.unsummed += 1,
        }
    }

    /// Counts a customer who reaches a stage.
    pub const fn reach(&mut self, stage: Stage) {
        match stage {
            Stage::Outside => {}
            Stage::Clicked => self.clicked += 1,
            Stage::ThenBasket => self.then_basket += 1,
            Stage::ThenPurchase => self.then_purchase += 1,
        }
    }
}

impl AddAssign for Deeds {
    fn add_assign(&mut self, other: Self) {
        self.customers += other.customers;
        self.basket_fillers += other.basket_fillers;
        self.buyers += other.buyers;
        self.clicks += other.clicks;
        self.codes += other.codes;
        self.baskets += other.baskets;
        self.purchases += other.purchases;
        self.unsummed += other.unsummed;
        self.revenue += other.revenue;
        self.new_members += other.new_members;
        self.clicked += other.clicked;
        self.then_basket += other.then_basket;
        self.then_purchase += other.then_purchase;
    }
}
