//! Who waits, and whose turn is next.
//!
//! Accounts take turns, and within an account its principals do, each with what he asked first. So it does not matter how many requests
//! somebody has waiting: with one he is served as often as with a hundred. A line that is full lets the oldest request go of whoever
//! has the most in it, because the newest is the one whose client still waits for it.
//!
//! What this does not know: time, and what waiting is for.

use std::collections::{HashMap, VecDeque};

use coffer_types::AccountId;

/// Who counts as one. The principal is a hash of his identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    pub(crate) account: AccountId,
    pub(crate) principal: u64,
}

#[derive(Debug)]
pub(crate) struct Line<T> {
    accounts: HashMap<AccountId, Account<T>>,
    /// Accounts with somebody waiting, each once.
    turns: VecDeque<AccountId>,
    waiting: usize,
    principals: usize,
    next: u64,
}

#[derive(Debug)]
struct Account<T> {
    principals: HashMap<u64, VecDeque<(Place, T)>>,
    turns: VecDeque<u64>,
    waiting: usize,
}

/// A place in the line; later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// Whoever had to leave had this much in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Portion {
    /// Half as much again as would be his account's, or his in his account, if all had the same; or nobody else waits.
    Greedy,
    /// About what is his: it is not one principal who asks too much, but all of them.
    Fair,
}

/// What came of somebody's joining.
#[derive(Debug)]
pub(crate) struct Joined<T> {
    pub(crate) place: Place,
    /// Who had to leave for that.
    pub(crate) left: Option<(T, Portion)>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { accounts: HashMap::new(), turns: VecDeque::new(), waiting: 0, principals: 0, next: 0 }
    }
}

impl<T> Default for Account<T> {
    fn default() -> Self {
        Self { principals: HashMap::new(), turns: VecDeque::new(), waiting: 0 }
    }
}

impl<T> Line<T> {
    pub(crate) const fn len(&self) -> usize {
        self.waiting
    }

    /// Whether all who wait are of one account.
    pub(crate) fn is_of_one_account(&self) -> bool {
        self.accounts.len() <= 1
    }

    /// Joins a line of at most so many.
    pub(crate) fn join(&mut self, who: Who, ticket: T, longest: usize) -> Joined<T> {
        let place = Place(self.next);
        self.next += 1;
        let account = self.accounts.entry(who.account).or_default();
        if account.waiting == 0 {
            self.turns.push_back(who.account);
        }
        let principal = account.principals.entry(who.principal).or_default();
        if principal.is_empty() {
            account.turns.push_back(who.principal);
            self.principals += 1;
        }
        principal.push_back((place, ticket));
        account.waiting += 1;
        self.waiting += 1;
        let left = if self.waiting > longest { self.oldest_of_the_greediest() } else { None };
        Joined { place, left }
    }

    /// Takes out whoever is next.
    pub(crate) fn next(&mut self) -> Option<T> {
        let id = self.turns.pop_front()?;
        let account = self.accounts.get_mut(&id)?;
        let principal = account.turns.pop_front()?;
        let waiting = account.principals.get_mut(&principal)?;
        let (_, ticket) = waiting.pop_front()?;
        account.waiting -= 1;
        self.waiting -= 1;
        if waiting.is_empty() {
            account.principals.remove(&principal);
            self.principals -= 1;
        } else {
            account.turns.push_back(principal);
        }
        if account.waiting == 0 {
            self.accounts.remove(&id);
        } else {
            self.turns.push_back(id);
        }
        Some(ticket)
    }

    /// Gives a place up. Nothing if whoever had it is not in the line any more.
    pub(crate) fn leave(&mut self, who: Who, place: Place) -> Option<Portion> {
        let portion = self.portion(who);
        let waiting = self.accounts.get_mut(&who.account)?.principals.get_mut(&who.principal)?;
        let at = waiting.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        waiting.remove(at)?;
        self.forget_one(who);
        Some(portion)
    }

    fn oldest_of_the_greediest(&mut self) -> Option<(T, Portion)> {
        let (id, account) = self.accounts.iter_mut().max_by_key(|(_, account)| account.waiting)?;
        let (principal, _) = account.principals.iter().max_by_key(|(_, waiting)| waiting.len())?;
        let who = Who { account: *id, principal: *principal };
        let portion = self.portion(who);
        let waiting = self.accounts.get_mut(&who.account)?.principals.get_mut(&who.principal)?;
        let (_, ticket) = waiting.pop_front()?;
        self.forget_one(who);
        Some((ticket, portion))
    }

    fn portion(&self, who: Who) -> Portion {
        let Some(account) = self.accounts.get(&who.account) else { return Portion::Fair };
        let his = account.principals.get(&who.principal).map_or(0, VecDeque::len);
        let is_much = |part: usize, of: usize, sharers: usize| 2 * part * sharers > 3 * of;
        let is_account_greedy = is_much(account.waiting, self.waiting, self.accounts.len());
        let is_he = is_much(his, account.waiting, account.principals.len());
        if self.principals == 1 || is_account_greedy || is_he { Portion::Greedy } else { Portion::Fair }
    }

    /// One request of his was taken out of the middle of everything.
    fn forget_one(&mut self, who: Who) {
        let Some(account) = self.accounts.get_mut(&who.account) else { return };
        self.waiting -= 1;
        account.waiting -= 1;
        if account.principals.get(&who.principal).is_some_and(VecDeque::is_empty) {
            account.principals.remove(&who.principal);
            account.turns.retain(|principal| *principal != who.principal);
            self.principals -= 1;
        }
        if account.waiting == 0 {
            self.accounts.remove(&who.account);
            self.turns.retain(|account| *account != who.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(account: u8, principal: u64) -> Who {
        Who { account: format!("{account:012}").parse().unwrap(), principal }
    }

    fn served(line: &mut Line<(u8, u64)>, count: usize) -> Vec<(u8, u64)> {
        (0..count).map_while(|_| line.next()).collect()
    }

    fn is_consistent<T>(line: &Line<T>) -> bool {
        let in_accounts: usize = line.accounts.values().map(|account| account.waiting).sum();
        let in_principals: usize =
            line.accounts.values().flat_map(|account| account.principals.values()).map(VecDeque::len).sum();
        let principals: usize = line.accounts.values().map(|account| account.turns.len()).sum();
        let known: usize = line.accounts.values().map(|account| account.principals.len()).sum();
        (in_accounts, in_principals, principals, known)
            == (line.waiting, line.waiting, line.principals, principals)
            && line.turns.len() == line.accounts.len()
    }

    #[test]
    fn accounts_take_turns_and_within_them_principals_do() {
        let mut line = Line::default();
        for _ in 0..50 {
            line.join(who(1, 1), (1, 1), 1_000);
        }
        for (account, principal) in [(1, 2), (1, 2), (2, 1), (2, 1), (2, 1)] {
            line.join(who(account, principal), (account, principal), 1_000);
        }
        let order = served(&mut line, 8);
        assert_eq!(order, [(1, 1), (2, 1), (1, 2), (2, 1), (1, 1), (2, 1), (1, 2), (1, 1)]);
        assert_eq!(line.len(), 47);
    }

    #[test]
    fn a_full_line_lets_the_oldest_of_the_greediest_go() {
        let mut line = Line::default();
        for number in 0..7 {
            line.join(who(1, 1), number, 8);
        }
        line.join(who(1, 2), 100, 8);
        let joined = line.join(who(2, 3), 200, 8);
        assert_eq!(joined.left, Some((0, Portion::Greedy)));
        // When all have the same, it is nobody's fault.
        let mut line = Line::default();
        for principal in 0..8 {
            line.join(who(1, principal), principal, 8);
        }
        assert!(matches!(line.join(who(1, 9), 9, 8).left, Some((_, Portion::Fair))));
        // It is when whoever is alone asks for too much, or nearly alone, or his account is.
        let mut line = Line::default();
        line.join(who(1, 1), 1, 1);
        assert_eq!(line.join(who(1, 1), 2, 1).left, Some((1, Portion::Greedy)));
        for of_others in [1, 2] {
            let mut line = Line::default();
            line.join(who(of_others, 7), 0, 128);
            let left = (1..=128).filter_map(|number| line.join(who(1, 1), number, 128).left).next();
            assert_eq!(left, Some((1, Portion::Greedy)));
        }
        let mut line = Line::default();
        line.join(who(2, 0), 0, 100);
        let left = (1..=100).filter_map(|number| line.join(who(1, number % 10), number, 100).left).next();
        assert!(matches!(left, Some((_, Portion::Greedy))), "ten of one account against one of another");
    }

    #[test]
    fn whoever_leaves_is_not_missed() {
        let mut line = Line::default();
        let first = line.join(who(1, 1), (1, 1), 10).place;
        let second = line.join(who(1, 1), (1, 1), 10).place;
        let third = line.join(who(2, 1), (2, 1), 10).place;
        assert!(line.leave(who(1, 1), second).is_some());
        assert!(line.leave(who(1, 1), second).is_none());
        assert!(line.leave(who(2, 1), third).is_some());
        assert_eq!(served(&mut line, 5), [(1, 1)]);
        assert!(line.leave(who(1, 1), first).is_none());
        assert!(is_consistent(&line) && line.len() == 0);
    }

    /// A server that answers ten requests a tick. One principal asks for 95 in each, nine others for one or two: with them all it is
    /// ten times what can be served.
    #[test]
    fn one_who_asks_for_ten_times_as_much_leaves_the_others_their_share() {
        let mut line = Line::default();
        let mut got = [0_usize; 10];
        for tick in 0..1_000_u64 {
            for _ in 0..95 {
                line.join(who(0, 0), 0, 64);
            }
            for principal in 1..10 {
                // Those of even numbers belong to another account.
                let account = u8::try_from(principal % 2).unwrap();
                if tick % 2 == 0 || principal < 5 {
                    line.join(who(account, principal), principal, 64);
                }
            }
            for _ in 0..10 {
                got[usize::try_from(line.next().unwrap()).unwrap()] += 1;
            }
            assert!(is_consistent(&line));
        }
        let (greedy, others) = (got[0], &got[1..]);
        // The others ask for less than their share and get all of it; what is left is the greedy one's.
        for (index, got) in others.iter().enumerate() {
            let asked = if index + 1 < 5 { 1_000 } else { 500 };
            assert!(*got >= asked * 8 / 10, "{}: {got} of {asked}", index + 1);
        }
        assert!(greedy >= 3_000, "nothing is wasted: {greedy}");
    }

    #[test]
    fn everything_at_once_keeps_its_books() {
        let mut line = Line::default();
        let mut places = Vec::new();
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..20_000 {
            match random(4) {
                0 | 1 => {
                    let who = who(u8::try_from(random(4)).unwrap(), random(5));
                    places.push((who, line.join(who, (), 40).place));
                }
                2 => drop(line.next()),
                _ if !places.is_empty() => {
                    let at = usize::try_from(random(places.len() as u64)).unwrap();
                    let (who, place) = places.swap_remove(at);
                    line.leave(who, place);
                }
                _ => {}
            }
            assert!(is_consistent(&line) && line.len() <= 40);
        }
    }
}
