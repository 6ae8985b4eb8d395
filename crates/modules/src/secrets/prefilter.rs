//! One automaton over all keywords of all rules, also as rot13 and backwards. Everything else looks only near its hits.
//!
//! Walking an automaton of this size byte by byte is bound by memory latency. So the rarest three bytes of every keyword
//! are put into a small bitmap, which is asked at every position independently of the others; the automaton walks only
//! where the bitmap says yes, which is one position in a hundred of source text.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::automaton::OverlappingState;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind, StartKind};

use super::rules::{CompiledRule, Matcher};
use super::view::Step;

/// Keywords at least this long are also looked for in disguise; shorter ones would hit everywhere.
const DISGUISED_FROM: usize = 4;
/// Words that give away an assignment inside a disguised text.
const DISGUISED_WORDS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "api_key",
    "apikey",
    "access_key",
    "auth_token",
];

/// Bytes of a keyword that the bitmap knows.
pub(crate) const SHORTEST_KEYWORD: usize = 3;

/// What a keyword asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Try this token rule; the keyword must stand there in exactly this case if a spelling is given.
    Token(usize),
    /// Try to read an assignment.
    Assignment,
    /// Undo this disguise around the hit and scan again.
    Disguise(Step),
    /// A list of `chr(65)` calls may begin here.
    CharacterCalls,
    /// The structure that this rule is about may be here.
    Structure(usize),
}

/// A keyword hit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    /// First byte.
    pub(crate) start: usize,
    /// Byte after the last.
    pub(crate) end: usize,
}

/// Which groups of three bytes give a keyword away, letter case aside, and how far into the keyword they stand.
/// Says yes too often, never too rarely.
struct Signs {
    bitmap: Box<[u64; 1024]>,
    /// Bit `n` is set for a group that stands `n` bytes into a keyword.
    offsets: Vec<u32>,
}

impl Signs {
    fn of<'k>(keywords: impl Iterator<Item = &'k String>) -> Self {
        let common = common_groups();
        let mut signs = Signs {
            bitmap: Box::new([0; 1024]),
            offsets: vec![0; 1 << 16],
        };
        for keyword in keywords {
            let offset = Self::offset(keyword.as_bytes(), &common);
            if let Some(&[a, b, c]) = keyword.as_bytes()[offset..].first_chunk::<3>() {
                let slot = Self::slot(u32::from_le_bytes([a, b, c, 0]));
                signs.bitmap[slot >> 6] |= 1 << (slot & 63);
                signs.offsets[slot] |= 1 << offset;
            }
        }
        signs
    }

    /// Where in a keyword its rarest group of three bytes stands.
    fn offset(keyword: &[u8], known: &HashMap<&[u8], u64>) -> usize {
        let groups = keyword.windows(3).take(u32::BITS as usize).enumerate();
        let common = |three: &[u8]| {
            let product: u64 = three.iter().map(|&byte| commonness(byte)).product();
            known
                .get(three.to_ascii_lowercase().as_slice())
                .map_or(product, |rank| product + (1 << 30) - rank)
        };
        groups
            .min_by_key(|(_, three)| common(three))
            .map_or(0, |(offset, _)| offset)
    }

    /// Setting this bit folds the case of letters; what else it confuses costs a walk that leads nowhere.
    fn slot(three: u32) -> usize {
        (((three & 0x00ff_ffff) | 0x0020_2020).wrapping_mul(0x9e37_79b1) >> 16) as usize
    }

    /// The lowest bit says whether the group may be a sign.
    fn bit(&self, three: u32) -> u64 {
        let slot = Self::slot(three);
        (self.bitmap[slot >> 6] >> (slot & 63)) & 1
    }
}

/// Groups of three letters that are all over source text, most common first.
const COMMON: &str = "sel elf ion the ing tio str ent for ter ate ame ite con tur nam sta res par ser ati err one all int tri mat \
    let and ass ect def rea val ons tes typ ret rat att ver est imp ext rro use com rin men etu mut der ile dat \
    ers ert ype urn ror ult end lin pat mpl ode not pro ize ist orm nte her ine ken get fil eri set ith rom nst \
    ble ort ure ind per tor ted non tok oke ars fro ead tat key ack ali tim tra spa che pre pti ere thi alu len \
    ime lue ess rma sio por ath ont cti tch tem his eat sse ins era opt tru nde rse ens exp cod loc ive abl atc \
    ata arg ase ple lse tte wit tex lit atu oun ord met out pub et_ cha rec ttr cfg _st exe pac ope tar tho las \
    _in cal rsi art dis ock ace nts tre eme enc wor ial siz new put ide are sul sin rit und unc _re rai ria esu \
    pan tin mod fie mes ele nce age cla tha whe ner fea lic mpo cat ten den rt_ num _co nal add ara nit ire dir \
    ato ref omp ore rou han lis col equ ren hat uni t_e omm ini our lat rep les but ain rap pen _to ust lex pec \
    din eld has reg iel isi it_ fin ome ica sit act _pa lle els har des red req xer app liz ege ign als nti pla \
    whi uct ned ese can som eve try doc ute eam esp ice xpr lib ove ed_ tic nct eco te_ iti yte to_ ool wra byt \
    igh st_ cke uil ant low nta usi nne oth efa er_ _eq bui ste ruc _na ail sen pri fau inc sed man ran rce map \
    ang vis aul any tab gen nse ces ull pos ntr rib on_ bas nto ume ene inf eta ndi rac ght gro cur ach ifi inp \
    pli ise _di lon _li ast syn ade ber";

fn common_groups() -> HashMap<&'static [u8], u64> {
    COMMON
        .split(' ')
        .zip(0..)
        .map(|(group, rank)| (group.as_bytes(), rank))
        .collect()
}

/// Roughly how often a byte occurs in source text, per thousand.
fn commonness(byte: u8) -> u64 {
    match byte.to_ascii_lowercase() {
        b' ' => 150,
        b'e' => 90,
        b't' => 70,
        b'a' | b'r' | b's' | b'o' | b'n' | b'i' => 58,
        b'l' | b'c' | b'd' => 36,
        b'u' | b'p' | b'm' | b'f' => 27,
        b'h' | b'_' | b'.' | b'g' | b'b' | b'/' | b':' | b'"' => 15,
        b'y' | b'v' | b'w' | b'-' | b'=' | b'(' => 10,
        b'k' | b'x' => 8,
        b'0'..=b'9' => 5,
        _ => 2,
    }
}

/// The automaton and what each of its patterns asks for.
pub(crate) struct Prefilter {
    signs: Signs,
    automaton: AhoCorasick,
    longest: usize,
    /// Where the sign of each keyword stands, so that no keyword is visited twice.
    sign_of: Vec<usize>,
    targets: Vec<Vec<(Target, Option<String>)>>,
}

impl Prefilter {
    /// Builds the automaton.
    pub(crate) fn new(rules: &[CompiledRule]) -> Result<Self, String> {
        let mut table: BTreeMap<String, Vec<(Target, Option<String>)>> = BTreeMap::new();
        let mut add = |keyword: &str, target: Target, spelling: Option<&str>| {
            let entry = table.entry(keyword.to_ascii_lowercase()).or_default();
            let item = (target, spelling.map(str::to_owned));
            if !entry.contains(&item) {
                entry.push(item);
            }
        };
        for (index, rule) in rules.iter().enumerate() {
            for keyword in &rule.keywords {
                match rule.matcher {
                    Matcher::Token(_) => {}
                    Matcher::Assignment { .. } => {
                        add(keyword, Target::Assignment, None);
                        continue;
                    }
                    Matcher::Structure(_) => {
                        add(keyword, Target::Structure(index), Some(keyword));
                        continue;
                    }
                }
                let spelling = (!rule.any_case).then_some(keyword.as_str());
                add(keyword, Target::Token(index), spelling);
                if let Some(spelling) = spelling.filter(|keyword| keyword.len() >= DISGUISED_FROM) {
                    add_disguised(&mut add, spelling, true);
                }
            }
        }
        for word in DISGUISED_WORDS {
            add_disguised(&mut add, word, false);
        }
        for call in ["chr(", "char("] {
            add(call, Target::CharacterCalls, None);
        }
        Self::build(table)
    }

    fn build(table: BTreeMap<String, Vec<(Target, Option<String>)>>) -> Result<Self, String> {
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .start_kind(StartKind::Anchored)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(table.keys())
            .map_err(|error| error.to_string())?;
        let signs = Signs::of(table.keys());
        let longest = table.keys().map(String::len).max().unwrap_or(0);
        let common = common_groups();
        let sign_of = table
            .keys()
            .map(|keyword| Signs::offset(keyword.as_bytes(), &common))
            .collect();
        Ok(Prefilter {
            signs,
            automaton,
            longest,
            sign_of,
            targets: table.into_values().collect(),
        })
    }

    /// Calls `visit` for every keyword in the text, nearly in order.
    pub(crate) fn for_each(&self, text: &[u8], mut visit: impl FnMut(Hit, Target)) {
        // Eight bytes at a time hold the groups of six positions; one branch serves them all.
        let mut at = 0;
        while let Some(eight) = text[at..].first_chunk::<8>() {
            let eight = u64::from_le_bytes(*eight);
            if (0..6).fold(0, |any, position| {
                any | self.signs.bit((eight >> (8 * position)) as u32)
            }) != 0
            {
                (0..6)
                    .for_each(|position| self.walks(text, at + position, (eight >> (8 * position)) as u32, &mut visit));
            }
            at += 6;
        }
        while let Some(&[a, b, c]) = text[at..].first_chunk::<3>() {
            self.walks(text, at, u32::from_le_bytes([a, b, c, 0]), &mut visit);
            at += 1;
        }
    }

    /// Walks from every place where a keyword with a sign at `at` may begin.
    fn walks(&self, text: &[u8], at: usize, sign: u32, visit: &mut impl FnMut(Hit, Target)) {
        if self.signs.bit(sign) == 0 {
            return;
        }
        let mut offsets = self.signs.offsets[Signs::slot(sign)];
        while offsets != 0 {
            let offset = offsets.trailing_zeros() as usize;
            offsets &= offsets - 1;
            if let Some(start) = at.checked_sub(offset) {
                self.walk(text, start, offset, visit);
            }
        }
    }

    /// Visits the keywords that begin at `at` and have their sign there.
    fn walk(&self, text: &[u8], at: usize, sign: usize, visit: &mut impl FnMut(Hit, Target)) {
        let end = text.len().min(at + self.longest);
        let mut state = OverlappingState::start();
        loop {
            self.automaton
                .find_overlapping(Input::new(text).span(at..end).anchored(Anchored::Yes), &mut state);
            let Some(found) = state.get_match() else { return };
            let hit = Hit {
                start: found.start(),
                end: found.end(),
            };
            if self.sign_of[found.pattern().as_usize()] != sign {
                continue;
            }
            for (target, spelling) in &self.targets[found.pattern().as_usize()] {
                if spelling
                    .as_ref()
                    .is_none_or(|spelling| spelling.as_bytes() == &text[hit.start..hit.end])
                {
                    visit(hit, *target);
                }
            }
        }
    }
}

fn add_disguised(add: &mut impl FnMut(&str, Target, Option<&str>), keyword: &str, exact: bool) {
    let rot13: String = keyword
        .bytes()
        .map(|byte| char::from(super::decode::rot13(byte)))
        .collect();
    let reversed: String = keyword.chars().rev().collect();
    for (text, step) in [(rot13, Step::Rot13), (reversed, Step::Reversed)] {
        // A palindrome, or a keyword without letters, is no disguise.
        if text != keyword {
            add(&text, Target::Disguise(step), exact.then_some(text.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_visited_once_wherever_it_stands() {
        let words = ["ghp_", "pass", "password", "key", "://", "wordkey"];
        let table = words
            .iter()
            .map(|word| ((*word).to_owned(), vec![(Target::Assignment, None)]))
            .collect();
        let text = b"key PASSWORD://ghp_passwordkey";
        let mut found = Vec::new();
        Prefilter::build(table).unwrap().for_each(text, |hit, _| {
            found.push((
                hit.start,
                String::from_utf8_lossy(&text[hit.start..hit.end]).to_lowercase(),
            ));
        });
        found.sort();
        let expected = [
            (0, "key"),
            (4, "pass"),
            (4, "password"),
            (12, "://"),
            (15, "ghp_"),
            (19, "pass"),
            (19, "password"),
            (23, "wordkey"),
            (27, "key"),
        ];
        assert_eq!(found, expected.map(|(at, word)| (at, word.to_owned())));
    }
}
