//! A ruleset as one nf_tables transaction.
//!
//! The kernel takes the batch whole or not at all: the old table goes and the new one
//! comes in the same instant. Connections live in connection tracking, not in the table,
//! so those that are established don't notice.

mod attribute;
mod expression;
mod parts;
mod set;

use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;

pub(in crate::sandbox) use self::parts::{Part, encode_in_parts};
use self::{attribute::Message, parts::SPARE};
use super::{
    delta::Delta,
    ruleset::{Base, Chain, Rule, Ruleset},
    text::{LOG_GROUP, TABLE, short},
};
use crate::sandbox::node::netlink::{Netlink, Request};

// Message types of the nf_tables subsystem.
const NEWTABLE: u8 = 0;
const DELTABLE: u8 = 2;
const NEWCHAIN: u8 = 3;
const DELCHAIN: u8 = 5;
const NEWRULE: u8 = 6;
const DELRULE: u8 = 8;
// Attributes: of tables, chains, hooks and rules.
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;

/// The messages that replace a namespace's table with these rules; and a spare one, where
/// that judges.
pub(in crate::sandbox) fn encode(rules: &Ruleset, spare: bool) -> Vec<Request> {
    let mut requests = vec![Message::begin()];
    for table in [Some(TABLE), spare.then_some(SPARE)].into_iter().flatten() {
        requests.extend(delete_table(table));
    }
    requests.push(create_table(TABLE));
    requests.extend(contents(TABLE, rules).into_iter().flatten());
    finish(requests)
}

fn create_table(table: &str) -> Request {
    Message::new(NEWTABLE).string(TABLE_NAME, table).done("create the table")
}

/// The messages that delete a table. Making it first lets that succeed where there is none.
fn delete_table(table: &str) -> [Request; 2] {
    let deletion = Message::delete(DELTABLE).string(TABLE_NAME, table);
    [create_table(table), deletion.done("delete the old table")]
}

/// The messages that fill a table; only what is grouped has to be in one transaction.
fn contents(table: &str, rules: &Ruleset) -> Vec<Vec<Request>> {
    // Where packets enter stands last: with each transaction that makes a jump the kernel
    // walks through all that can be reached from there, once for every way that leads to it.
    let (entries, others): (Vec<&Chain>, Vec<&Chain>) =
        rules.chains.iter().partition(|chain| chain.base.is_some());
    // Chains before maps, whose elements jump to them; sets before rules, which use them.
    let mut all: Vec<Vec<Request>> = others.iter().map(|one| vec![chain(table, one)]).collect();
    for set in &rules.sets {
        all.extend(set::named(table, set).into_iter().map(|one| vec![one]));
    }
    let mut next_id = 0;
    all.extend(encode_rules(table, others, &mut next_id));
    all.extend(entries.iter().map(|one| vec![chain(table, one)]));
    all.extend(encode_rules(table, entries, &mut next_id));
    all
}

/// The messages that change a namespace's table; all are carried out or none.
pub(in crate::sandbox) fn encode_delta(delta: &Delta) -> Vec<Request> {
    let mut requests = vec![Message::begin()];
    requests.extend(delta.new_chains.iter().map(|one| chain(TABLE, one)));
    requests.extend(delta.flushed.iter().map(|name| {
        // Without a rule's handle, all rules of the chain.
        Message::delete(DELRULE)
            .string(RULE_TABLE, TABLE)
            .string(RULE_CHAIN, name)
            .done(&format!("empty chain {name}"))
    }));
    for set in &delta.removed {
        set::remove(set, &mut requests);
    }
    requests.extend(delta.old_sets.iter().map(|name| set::delete(name)));
    for set in &delta.new_sets {
        requests.extend(set::named(TABLE, set));
    }
    for set in &delta.added {
        set::add(TABLE, set, &mut requests);
    }
    requests.extend(encode_rules(TABLE, &delta.rules, &mut 0).into_iter().flatten());
    requests.extend(delta.old_chains.iter().map(|name| {
        Message::delete(DELCHAIN)
            .string(CHAIN_TABLE, TABLE)
            .string(CHAIN_NAME, name)
            .done(&format!("delete chain {name}"))
    }));
    finish(requests)
}

/// The messages that append rules to their chains, by rule.
fn encode_rules<'a>(
    table: &str,
    chains: impl IntoIterator<Item = &'a Chain>,
    next_id: &mut u32,
) -> Vec<Vec<Request>> {
    let rules =
        chains.into_iter().flat_map(|chain| chain.rules.iter().map(move |rule| (chain, rule)));
    rules.map(|(chain, rule)| encode_rule(table, chain, rule, next_id)).collect()
}

fn finish(mut requests: Vec<Request>) -> Vec<Request> {
    // An answer to the last message comes when the whole batch has been taken.
    if let Some(last) = requests.last_mut() {
        attribute::acknowledge(last);
    }
    requests.push(Message::end());
    requests
}

/// Opens the way to the kernel's rules, in the network namespace of the calling thread.
pub(in crate::sandbox) fn open() -> io::Result<Netlink> {
    Netlink::open(NETLINK_NETFILTER)
}

fn chain(table: &str, chain: &Chain) -> Request {
    let message = Message::new(NEWCHAIN).string(CHAIN_TABLE, table).string(CHAIN_NAME, &chain.name);
    let message = match chain.base {
        None => message,
        Some(base) => {
            let (kind, hook, priority) = match base {
                Base::FilterForward => ("filter", 2, -10_i32),
                Base::FilterEgress => ("filter", 2, 0),
                Base::FilterIngress => ("filter", 2, 10),
                Base::FilterInput => ("filter", 1, 0),
                Base::FilterOutput => ("filter", 3, 0),
                Base::NatPrerouting => ("nat", 0, -100),
                Base::NatOutput => ("nat", 3, -100),
                Base::NatPostrouting => ("nat", 4, 100),
            };
            message
                .nest(CHAIN_HOOK, |nest| {
                    nest.number(HOOK_NUMBER, hook)
                        .number(HOOK_PRIORITY, u32::from_ne_bytes(priority.to_ne_bytes()))
                })
                .string(CHAIN_TYPE, kind)
        }
    };
    message.done(&format!("create chain {}", chain.name))
}

fn encode_rule(table: &str, chain: &Chain, rule: &Rule, next_id: &mut u32) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut expressions = expression::Expressions::default();
    for one in &rule.matches {
        expressions.matching(one);
    }
    if let Some(text) = &rule.log {
        expressions.log(LOG_GROUP, short(text));
    }
    // The map of a translation is part of its rule, but must be there before it.
    let map = set::endpoints(table, &rule.action, next_id, &mut requests);
    expressions.acting(&rule.action, map);
    let mut message = Message::append(NEWRULE)
        .string(RULE_TABLE, table)
        .string(RULE_CHAIN, &chain.name)
        .nested_bytes(RULE_EXPRESSIONS, &expressions.finish());
    if let Some(comment) = &rule.comment {
        message = message.bytes(RULE_USERDATA, &remark(comment));
    }
    requests.push(message.done(&format!("add a rule to chain {}: {rule}", chain.name)));
    requests
}

/// A comment as nft keeps it: kind 0, the length, the text with its end.
fn remark(comment: &str) -> Vec<u8> {
    let comment = short(comment);
    let mut userdata = vec![0, comment.len() as u8 + 1];
    userdata.extend_from_slice(comment.as_bytes());
    userdata.push(0);
    userdata
}
