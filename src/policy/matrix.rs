//! Every pod to every pod, a bit each.
//!
//! For a pod and a direction, the other ends that *may* get through and those that *may*
//! be kept out are rows of bits; rules add to them a machine word at a time. Rows of the
//! one direction are turned into columns, so that both fit together.

use super::{
    bits::transpose,
    compile::Compiled,
    decision::{Direction, Outcome},
};
use crate::model::{Family, IpProtocol};

mod columns;
mod rows;

use columns::Columns;
use rows::Rows;

/// What is asked of every pair of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The protocol.
    pub protocol: IpProtocol,
    /// The port of the destination; nothing for ICMP.
    pub port: u16,
    /// The IP family; where absent, the one that all pods have, if it is one.
    pub family: Option<Family>,
}

/// The outcome for every pair of pods, by their indices in the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    size: usize,
    /// Words a row.
    stride: usize,
    allowed: Vec<u64>,
    denied: Vec<u64>,
}

impl Matrix {
    /// How many pods there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What the policies say of one pair; nothing for a pod that isn't there.
    pub fn get(&self, from: usize, to: usize) -> Option<Outcome> {
        if from >= self.size || to >= self.size {
            return None;
        }
        let at = from * self.stride + to / 64;
        let bit = |words: &[u64]| words[at] >> (to % 64) & 1 == 1;
        Some(match (bit(&self.allowed), bit(&self.denied)) {
            (true, _) => Outcome::Allowed,
            (false, true) => Outcome::Denied,
            (false, false) => Outcome::Undetermined,
        })
    }

    /// How many pairs are allowed, a pod with itself included.
    pub fn allowed(&self) -> u64 {
        self.allowed.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many pairs are denied.
    pub fn denied(&self) -> u64 {
        self.denied.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

impl Compiled {
    /// Asks one question of every pair of pods. It takes about four bits a pair.
    pub fn matrix(&self, question: &Question) -> Matrix {
        let size = self.pods.len();
        let stride = size.div_ceil(64);
        let question =
            Question { family: question.family.or_else(|| self.only_family()), ..*question };
        let columns = Columns::new(self, &question);
        let direction = |direction| {
            let mut allowed = vec![0; stride * stride * 64];
            let mut denied = vec![0; stride * stride * 64];
            let mut rows = Rows::new(&columns, direction, stride);
            for pod in 0..size {
                let at = pod * stride..(pod + 1) * stride;
                rows.judge(pod, &mut allowed[at.clone()], &mut denied[at]);
            }
            (allowed, denied)
        };
        let (mut in_allowed, mut in_denied) = direction(Direction::Ingress);
        transpose(&mut in_allowed, stride);
        transpose(&mut in_denied, stride);
        let (mut allowed, mut denied) = direction(Direction::Egress);
        allowed.iter_mut().zip(&in_allowed).for_each(|(word, other)| *word &= other);
        denied.iter_mut().zip(&in_denied).for_each(|(word, other)| *word |= other);
        let mut matrix = Matrix { size, stride, allowed, denied };
        self.blur_foreign(&mut matrix);
        matrix
    }

    /// The family that all addresses are of.
    fn only_family(&self) -> Option<Family> {
        let mut addresses = self.topology.pods().iter().flat_map(|pod| &pod.addresses);
        let family = Family::of(*addresses.next()?);
        addresses.all(|address| Family::of(*address) == family).then_some(family)
    }

    /// Where other kinds of policy may decide, nothing is told.
    fn blur_foreign(&self, matrix: &mut Matrix) {
        if self.foreign.is_empty() {
            return;
        }
        let everywhere = self.foreign.iter().any(|foreign| foreign.namespace.is_none());
        let near = |pod: usize| {
            let namespace = &self.topology.pods()[pod].namespace;
            everywhere
                || self.foreign.iter().any(|foreign| foreign.namespace.as_ref() == Some(namespace))
        };
        let near: Vec<bool> = (0..matrix.size).map(near).collect();
        for from in 0..matrix.size {
            for to in (0..matrix.size).filter(|to| near[from] || near[*to]) {
                let at = from * matrix.stride + to / 64;
                matrix.allowed[at] &= !(1 << (to % 64));
                matrix.denied[at] &= !(1 << (to % 64));
            }
        }
    }
}
