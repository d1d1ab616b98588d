//! Random values for the primitive types, the same for the same seed.

use std::borrow::Cow;

use bytes::Bytes;
use millstream_protocol::records::Records;
use uuid::Uuid;

/// Elements of one array.
const MOST_ELEMENTS: u64 = 3;

/// Arrays that are nested deeper than this are empty, so that samples stay small.
const DEEPEST_ARRAY: u32 = 5;

/// Long enough that lengths take two bytes as varints.
const LONG_BYTES: usize = 300;

#[derive(Debug, Clone)]
pub struct Sampler {
    state: u64,
    depth: u32,
}

impl Sampler {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, depth: 0 }
    }

    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True two times out of three.
    pub fn chance(&mut self) -> bool {
        self.below(3) > 0
    }

    pub fn bool(&mut self) -> bool {
        self.below(2) == 1
    }

    pub fn i8(&mut self) -> i8 {
        self.i64() as i8
    }

    pub fn i16(&mut self) -> i16 {
        self.i64() as i16
    }

    pub fn u16(&mut self) -> u16 {
        self.i64() as u16
    }

    pub fn i32(&mut self) -> i32 {
        self.i64() as i32
    }

    /// Edges, small numbers and any number, so that casts to smaller types see their edges too.
    pub fn i64(&mut self) -> i64 {
        match self.below(8) {
            0 => 0,
            1 => -1,
            2 => i64::MAX,
            3 => i64::MIN,
            4 => i64::from(i32::MIN),
            5 => self.below(200) as i64,
            _ => self.next() as i64,
        }
    }

    /// Never NaN, which would not equal itself.
    pub fn f64(&mut self) -> f64 {
        self.i64() as f64 / 7.0
    }

    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next() >> self.below(64))
    }

    pub fn string(&mut self) -> Cow<'static, str> {
        let letters = ['a', 'Z', '-', 'é', '水', '🌊', ' ', '\0'];
        let length = match self.below(12) {
            0 => 0,
            1 => LONG_BYTES as u64,
            _ => 1 + self.below(9),
        };
        (0..length).map(|_| letters[self.below(letters.len() as u64) as usize]).collect::<String>().into()
    }

    pub fn bytes(&mut self) -> Cow<'static, [u8]> {
        self.some_bytes().into()
    }

    /// Sometimes so large that the writer splices.
    pub fn records(&mut self) -> Records<'static> {
        let large = vec![self.next() as u8; 2000];
        match self.below(4) {
            0 => Records::Shared(Vec::new()),
            1 => Records::Shared(vec![large.into(), self.some_bytes().into()]),
            2 => Records::Shared(vec![Bytes::from(self.some_bytes()), large.into(), self.some_bytes().into()]),
            _ => Records::Shared(vec![self.some_bytes().into()]),
        }
    }

    fn some_bytes(&mut self) -> Vec<u8> {
        let length = match self.below(6) {
            0 => 0,
            1 => LONG_BYTES as u64,
            _ => self.below(20),
        };
        (0..length).map(|_| self.next() as u8).collect()
    }

    pub fn elements<T>(&mut self, mut sample: impl FnMut(&mut Self) -> T) -> Vec<T> {
        if self.depth >= DEEPEST_ARRAY {
            return Vec::new();
        }
        let count = self.below(MOST_ELEMENTS + 1);
        self.depth += 1;
        let elements = (0..count).map(|_| sample(self)).collect();
        self.depth -= 1;
        elements
    }
}
