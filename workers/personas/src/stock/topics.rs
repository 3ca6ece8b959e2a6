//! Which topic comes next. Pure functions.
//!
//! Each topic is due as often as its weight says: the next one is that which lacks most of its share of what came lately. That is smooth
//! weighted round-robin over a window, so that a topic with a small weight comes too, and none comes twice in a row where another may.

use std::collections::BTreeMap;

use perch_core::personas::Topic;

/// The topics for a batch of `count` posts, given the topics of the latest posts, the latest first.
pub(crate) fn batch(topics: &[Topic], lately: &[Option<String>], count: usize) -> Vec<Option<String>> {
    let mut came: Vec<Option<String>> = lately.to_vec();
    let mut chosen = Vec::with_capacity(count);
    for _ in 0..count {
        let topic = next(topics, &came, |_| true).map(|topic| topic.name.clone());
        came.insert(0, topic.clone());
        chosen.push(topic);
    }
    chosen
}

/// The topic that is due next among those that are `there`, given the topics of the latest posts, the latest first.
pub(crate) fn next<'t>(
    topics: &'t [Topic],
    lately: &[Option<String>],
    there: impl Fn(&str) -> bool,
) -> Option<&'t Topic> {
    let total: f64 = topics.iter().map(|topic| topic.weight).sum();
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for topic in lately.iter().flatten() {
        *counts.entry(topic).or_default() += 1.0;
    }
    let came: f64 = topics.iter().filter_map(|topic| counts.get(&*topic.name)).sum();
    let lack = |topic: &Topic| topic.weight / total * (came + 1.0) - counts.get(&*topic.name).copied().unwrap_or(0.0);
    let last = lately.first().and_then(Option::as_deref);
    let mut there: Vec<&Topic> = topics.iter().filter(|topic| there(&topic.name)).collect();
    if there.len() > 1 {
        there.retain(|topic| Some(&*topic.name) != last);
    }
    // Of equal ones the first in the list, so that the same history always gives the same topic.
    there.into_iter().reduce(|best, topic| if lack(topic) > lack(best) { topic } else { best })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topics(weights: &[f64]) -> Vec<Topic> {
        let topic = |(at, weight): (usize, &f64)| Topic { name: format!("t{at}"), weight: *weight };
        weights.iter().enumerate().map(topic).collect()
    }

    #[test]
    fn without_topics_the_model_chooses() {
        assert_eq!(batch(&[], &[], 2), [None, None]);
    }

    #[test]
    fn a_topic_that_is_not_there_waits_and_the_only_one_may_come_again() {
        let topics = topics(&[5.0, 1.0]);
        let lately = [Some("t0".to_owned())];
        assert_eq!(next(&topics, &lately, |name| name == "t0").map(|topic| &*topic.name), Some("t0"));
        assert_eq!(next(&topics, &lately, |_| true).map(|topic| &*topic.name), Some("t1"));
        assert_eq!(next(&topics, &lately, |_| false), None);
    }

    proptest! {
        #[test]
        fn every_topic_comes_about_as_often_as_its_weight_and_none_twice_in_a_row(
            weights in prop::collection::vec(1_u32..4, 2..6),
        ) {
            let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
            let topics = topics(&weights);
            let total: f64 = weights.iter().sum();
            let chosen = batch(&topics, &[], 200);
            prop_assert!(chosen.windows(2).all(|two| two[0] != two[1]));
            for topic in &topics {
                let came = chosen.iter().flatten().filter(|name| **name == topic.name).count();
                let n = f64::from(u32::try_from(came).expect("few posts"));
                let due = 200.0 * (topic.weight / total).min(0.5);
                // A topic that would be due more than every other time gives way to the others.
                prop_assert!(n >= due * 0.8 - 2.0, "{topic:?} came {n} times, due {due}: {weights:?}");
            }
        }
    }
}
