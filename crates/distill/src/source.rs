//! The twelve logs that evidence comes from.

use crate::evidence::Role;

/// A log of `data/_kb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Facts drawn out of texts.
    DistilledFacts,
    /// Procedures drawn out of texts.
    DistilledProcedures,
    /// Configuration hints drawn out of texts.
    DistilledConfigHints,
    /// Analyses of permits and their contracts.
    ContractAnalyses,
    /// The same task run in several modes.
    ModeExperiments,
    /// Reviews of files.
    ScrumReviews,
    /// An observer's look at a cluster of failures.
    ObserverEscalations,
    /// What was drawn out of an audited pull request.
    AuditFacts,
    /// Patches applied, or taken back.
    AutoApply,
    /// An observer's verdicts on single runs.
    ObserverReviews,
    /// Audits of pull requests.
    Audits,
    /// How whole runs ended.
    Outcomes,
}

impl Source {
    /// Every source, in the order in which they are materialized.
    pub const ALL: [Self; 12] = [
        Self::DistilledFacts,
        Self::DistilledProcedures,
        Self::DistilledConfigHints,
        Self::ContractAnalyses,
        Self::ModeExperiments,
        Self::ScrumReviews,
        Self::ObserverEscalations,
        Self::AuditFacts,
        Self::AutoApply,
        Self::ObserverReviews,
        Self::Audits,
        Self::Outcomes,
    ];

    /// Its name: that of its file, without `.jsonl`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DistilledFacts => "distilled_facts",
            Self::DistilledProcedures => "distilled_procedures",
            Self::DistilledConfigHints => "distilled_config_hints",
            Self::ContractAnalyses => "contract_analyses",
            Self::ModeExperiments => "mode_experiments",
            Self::ScrumReviews => "scrum_reviews",
            Self::ObserverEscalations => "observer_escalations",
            Self::AuditFacts => "audit_facts",
            Self::AutoApply => "auto_apply",
            Self::ObserverReviews => "observer_reviews",
            Self::Audits => "audits",
            Self::Outcomes => "outcomes",
        }
    }

    /// The source of that name; `outcomes.jsonl` and a path to it are fine too.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let file = name.rsplit('/').next().unwrap_or(name);
        let stem = file.strip_suffix(".jsonl").unwrap_or(file);
        Self::ALL.into_iter().find(|source| source.name() == stem)
    }

    /// Its file, relative to the root.
    #[must_use]
    pub fn file(self) -> String {
        format!("{}/{}.jsonl", crate::layout::KB, self.name())
    }

    /// What its rows' model was used for, unless a row says otherwise.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::DistilledFacts | Self::DistilledProcedures | Self::DistilledConfigHints | Self::AuditFacts => {
                Role::Extractor
            }
            Self::ContractAnalyses | Self::ModeExperiments | Self::Outcomes => Role::Executor,
            Self::ScrumReviews | Self::ObserverEscalations | Self::ObserverReviews | Self::Audits => Role::Reviewer,
            Self::AutoApply => Role::Applier,
        }
    }
}
