//! Several scenarios as one load test: finds the scenario of a trigger, and keeps the states of users by their type.

use std::any::TypeId;
use std::sync::Arc;

use crate::engine::mix::{Deck, Mix, Weighted};
use crate::engine::plan::{DeclaredScenario, Plan, PlanError, ScenarioRequest, ScenarioSettings, check_name};
use crate::engine::share::Share;
use crate::loadtest::adapter::Trigger;
use crate::loadtest::erased::{BoxFuture, Erased, UserState};
use crate::loadtest::scenario::Scenario;
use crate::metrics::scope::{self, SharedValue};
use crate::report::Threshold;
use crate::support::nearest::instead;
use crate::{BoxError, Context, Loadtest, Response};

/// The scenarios of a load test.
pub(crate) struct Scenarios {
    all: Arc<[Scenario]>,
    /// Number of the state that each scenario uses, if it has one. Scenarios with the same type use the same state.
    slots: Vec<Option<usize>>,
    /// First scenario that uses each state.
    owners: Vec<usize>,
    /// Order of the scenarios of triggers that name none, if there is one.
    deck: Option<(Mix, Deck)>,
}

/// States of a user, by slot. `None` until a scenario needs it. The last one is `()`, for scenarios without a state.
type States = Vec<Option<UserState>>;

/// Values of `setup`: of the load test, and of the scenarios that have their own.
pub(crate) struct SharedValues {
    pub(crate) common: SharedValue,
    pub(crate) own: Vec<Option<SharedValue>>,
}

impl Scenarios {
    pub(crate) fn new(all: Arc<[Scenario]>) -> Self {
        let mut types: Vec<(TypeId, usize)> = Vec::new();
        let slots = all.iter().enumerate().map(|(number, scenario)| {
            let state = scenario.adapter.state_type()?;
            Some(types.iter().position(|(known, _)| *known == state).unwrap_or_else(|| {
                types.push((state, number));
                types.len() - 1
            }))
        });
        let slots = slots.collect();
        let weighted = all.iter().filter_map(|scenario| {
            let settings = ScenarioSettings::read(&scenario.settings).ok()?;
            let weight = settings.weight.unwrap_or(1);
            (!settings.has_load()).then(|| Weighted { name: scenario.name.as_str().into(), weight })
        });
        let equal = || all.iter().map(|scenario| Weighted { name: scenario.name.as_str().into(), weight: 1 });
        let mix = Mix::new(weighted).or_else(|_| Mix::new(equal())).ok();
        let deck = mix.map(|mix| (mix.clone(), mix.deck(0, Share::WHOLE, None)));
        Self { slots, owners: types.into_iter().map(|(_, owner)| owner).collect(), deck, all }
    }

    fn find(&self, name: Option<&str>) -> Result<usize, BoxError> {
        let name = name.ok_or("the trigger names no scenario")?;
        self.all.iter().position(|scenario| scenario.name == name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> BoxError {
        let names: Vec<_> = self.all.iter().map(|scenario| &*scenario.name).collect();
        format!("the load test has no scenario `{name}`: {}", instead(name, &names)).into()
    }

    fn states(user: &mut UserState) -> &mut States {
        #[expect(clippy::expect_used, reason = "`start` below makes every state that is passed here")]
        user.downcast_mut().expect("a user's state is of its load test's type")
    }
}

impl Erased for Scenarios {
    fn state_type(&self) -> Option<TypeId> {
        (!self.owners.is_empty()).then(TypeId::of::<States>)
    }

    fn start<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<UserState, BoxError>> {
        let _ = context;
        let none: UserState = Box::new(());
        let states: States = self.owners.iter().map(|_| None).chain([Some(none)]).collect();
        Box::pin(async { Ok(Box::new(states) as UserState) })
    }

    fn complete<'a>(
        &'a self,
        scenario: &'a str,
        context: &'a Context,
        user: &'a mut UserState,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let number = self.find(Some(scenario))?;
            if let Some(slot) = self.slots[number]
                && let Some(state @ None) = Self::states(user).get_mut(slot)
            {
                *state = Some(self.all[number].adapter.start(context).await?);
            }
            Ok(())
        })
    }

    fn trigger<'a>(&'a self, trigger: Trigger, user: &'a mut UserState) -> BoxFuture<'a, Result<Response, BoxError>> {
        let number = match self.find(trigger.context.scenario.as_deref()) {
            Ok(number) => number,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let adapter = &self.all[number].adapter;
        let slot = self.slots[number].unwrap_or(self.owners.len());
        match Self::states(user).get_mut(slot) {
            Some(Some(state)) => adapter.trigger(trigger, state),
            _ => Box::pin(async { Err("the user was not started for this scenario".into()) }),
        }
    }

    fn stop(&self, user: UserState) -> BoxFuture<'static, ()> {
        let Ok(states) = user.downcast::<States>() else { return Box::pin(async {}) };
        let stops = std::iter::zip(*states, &self.owners);
        let stops: Vec<_> =
            stops.filter_map(|(state, &owner)| Some((owner, self.all[owner].adapter.stop(state?)))).collect();
        Box::pin(async {
            for (owner, stop) in stops {
                let scope = scope::current();
                // The value of `setup` is that of the state's scenario.
                let shared = scope.as_ref().and_then(|scope| Some(value_of(scope.shared.as_ref()?, Some(owner))));
                match scope.zip(shared) {
                    Some((scope, shared)) => Arc::new(scope.sharing(shared)).run(stop).await,
                    None => stop.await,
                }
            }
        })
    }

    fn scenarios(&self) -> &[Scenario] {
        &self.all
    }

    fn choose(&self, named: Option<&str>) -> Result<Option<String>, BoxError> {
        match (named, &self.deck) {
            (Some(name), _) => self.find(Some(name)).map(|_| Some(name.to_owned())),
            (None, Some((mix, deck))) => Ok(mix.name(deck.deal(true)).map(|name| name.to_string())),
            (None, None) => Ok(None),
        }
    }

    fn shared_of(&self, shared: &SharedValue, scenario: Option<&str>) -> SharedValue {
        value_of(shared, self.find(scenario).ok())
    }
}

/// Returns the value of `setup` for the scenario of this number, or that of the load test.
fn value_of(shared: &SharedValue, scenario: Option<usize>) -> SharedValue {
    let Some(values) = shared.downcast_ref::<SharedValues>() else { return Arc::clone(shared) };
    let own = scenario.and_then(|number| values.own.get(number)?.as_ref());
    Arc::clone(own.unwrap_or(&values.common))
}

/// A plan completed with the scenarios of a load test.
pub(crate) struct Completed {
    pub(crate) plan: Plan,
    /// Thresholds that the scenarios require.
    pub(crate) thresholds: Vec<Threshold>,
}

impl Loadtest {
    /// Completes the plan of a run with the scenarios of this load test.
    ///
    /// # Errors
    ///
    /// Returns an error if a scenario is unknown, or a declared or requested value is invalid.
    pub(crate) fn complete(&self, plan: &Plan, request: &ScenarioRequest) -> Result<Completed, PlanError> {
        let mut declared = Vec::new();
        let mut thresholds = Vec::new();
        for scenario in self.erased_adapter().scenarios() {
            let name = &scenario.name;
            check_name(name)?;
            let settings = ScenarioSettings::read(&scenario.settings)
                .map_err(|error| PlanError::from(format!("in the load test's scenario `{name}`: {error}")))?;
            declared.push(DeclaredScenario { name: name.clone(), settings });
        }
        let load = plan.loads().first().ok_or("a plan without load")?;
        let plan = request.plan(load, &declared, false)?;
        let of_scenarios = self.erased_adapter().scenarios().iter();
        let own = of_scenarios.flat_map(|scenario| scenario.thresholds.iter().map(|text| (&*scenario.name, &**text)));
        // A scenario that is left out has no samples.
        for (name, text) in
            own.chain(request.thresholds()).filter(|(name, _)| plan.scenarios().any(|known| **known == **name))
        {
            let threshold = Threshold::of_scenario_text(name, text);
            thresholds.push(
                threshold.map_err(|error| {
                    PlanError::from(format!("in the scenario `{name}`: threshold `{text}`: {error}"))
                })?,
            );
        }
        Ok(Completed { plan, thresholds })
    }
}
