use std::fmt;

use super::report::{AFTER_CHANGE, Followers, Quartiles, Report, WINDOW};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        writeln!(
            f,
            "{} accounts with simulated readers, {} weeks, {} posts a day, {} kinds of posts; median [quartiles] of the accounts",
            options.seeds,
            options.weeks,
            options.posts_per_day,
            self.arms.len()
        )?;
        writeln!(f, "\nshare of the possible gain over choosing uniformly, in the {WINDOW} choices up to then:")?;
        for gain in &self.gains {
            writeln!(f, "  after {:>5} posts  {}", gain.posts, Percent(gain.share))?;
        }
        if let Some(change) = &self.change {
            writeln!(f, "\n{AFTER_CHANGE} posts after readers changed their minds, the probability of")?;
            writeln!(f, "  the best kind of now     {}", Percent(change.new_best))?;
            writeln!(f, "  the best kind of before  {}", Percent(change.old_best))?;
        }
        if let Some(week) = self.weeks.last() {
            writeln!(f, "\nreactions expected of a post in week {}, against choosing uniformly:", week.week)?;
            writeln!(f, "  learned               {}", Percent(week.learned))?;
            writeln!(f, "  the best kind alone   {}", Percent(week.best))?;
        }
        followers(f, &self.followers)?;
        let Some(by_growth) = &self.by_growth else { return Ok(()) };
        write!(f, "  by the growth weight  {}", Whole(*by_growth))
    }
}

fn followers(f: &mut fmt::Formatter<'_>, gained: &Followers<Quartiles>) -> fmt::Result {
    writeln!(f, "\nfollowers gained:")?;
    writeln!(f, "  uniform               {}", Whole(gained.uniform))?;
    write!(f, "  learned               {}", Whole(gained.learned))?;
    let Some(with_growth) = gained.with_growth else { return Ok(()) };
    writeln!(f, "\n  with a growth weight  {}", Whole(with_growth))
}

/// Shares as per cent.
struct Percent(Quartiles);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quartiles { low, median, high } = self.0;
        write!(f, "{:>5.1} % [{:.1}, {:.1}]", 100.0 * median, 100.0 * low, 100.0 * high)
    }
}

/// Counts.
struct Whole(Quartiles);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quartiles { low, median, high } = self.0;
        write!(f, "{median:>5.0} [{low:.0}, {high:.0}]")
    }
}
