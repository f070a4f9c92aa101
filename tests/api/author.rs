//! Generates valid documents from the schema and a seed: aliases, fragments, nesting, counts, filters, searches,
//! introspection, and arguments and variables at their limits.

use async_graphql::Variables;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{FieldDefinition, TypeDefinition, TypeSystemDefinition};
use roster::graphql::cost::{self, Costs};
use serde_json::{Map, Value, json};

use crate::definition::{Definition, innermost};
use crate::hostile::Rng;

/// The ids and texts used as argument values.
pub struct ArgumentValues {
    pub users: Vec<String>,
    pub groups: Vec<String>,
    pub institutions: Vec<String>,
    pub licenses: Vec<String>,
    pub words: Vec<String>,
}

/// A document with its variables.
#[derive(Clone, Debug)]
pub struct GeneratedDocument {
    pub query: String,
    pub variables: Value,
    pub cost: usize,
}

/// Generates documents.
pub struct DocumentGenerator {
    definition: Definition,
    costs: Costs,
    argument_values: ArgumentValues,
    rng: Rng,
    document: Draft,
}

/// A document under construction.
#[derive(Default)]
struct Draft {
    fragments: Vec<String>,
    declared: Vec<String>,
    variables: Map<String, Value>,
    aliases: usize,
    fields: usize,
}

/// The number of attempts to generate a valid document.
const TRIES: usize = 50;

impl DocumentGenerator {
    pub fn new(argument_values: ArgumentValues, seed: u64) -> Self {
        let mut definition = Definition::of_roster();
        let built_in =
            [roster::http::introspection::TYPES, include_str!("../../src/graphql/cost/scalars.graphql")].concat();
        let built_in = async_graphql::parser::parse_schema(built_in).unwrap().definitions;
        let types = built_in.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(of) => Some((of.node.name.node.to_string(), of.node)),
            _ => None,
        });
        definition.0.extend(types.collect::<Vec<(String, TypeDefinition)>>());
        let costs = Costs::new(&roster::schema::sdl()).ok().unwrap();
        Self { definition, costs, argument_values, rng: Rng(seed), document: Draft::default() }
    }

    /// Generates a document within the cost limit.
    pub fn write(&mut self) -> GeneratedDocument {
        (0..TRIES).find_map(|_| self.attempt()).expect("one of the attempts is valid")
    }

    fn attempt(&mut self) -> Option<GeneratedDocument> {
        self.document = Draft::default();
        let most = if self.rng.one_in(4) { 10 } else { 3 };
        let roots = 1 + self.rng.below(most);
        let texts: Vec<String> = (0..roots).map(|number| self.root(number)).collect();
        let Draft { fragments, declared, variables, .. } = std::mem::take(&mut self.document);
        let declared = if declared.is_empty() { String::new() } else { format!("({})", declared.join(", ")) };
        let query = format!("query A{declared} {{ {} }} {}", texts.join(" "), fragments.join(" "));
        let variables = Value::Object(variables);
        let cost = self.cost(&query, &variables)?;
        (cost <= cost::MAX_COST).then_some(GeneratedDocument { query, variables, cost })
    }

    /// The cost of a document. None if it is not valid.
    pub fn cost(&self, query: &str, variables: &Value) -> Option<usize> {
        roster::http::check_text(query).ok()?;
        let document = parse_query(query).unwrap_or_else(|error| panic!("{error}\n{query}"));
        roster::http::measure(&document).ok()?;
        let schema = self.costs.introspection(&document).ok()?;
        let (_, operation) = roster::http::selected_operation(&document, None)?;
        let cost = self.costs.cost(&document, operation, &Variables::from_json(variables.clone()));
        Some(cost + cost::of_introspection(schema))
    }

    fn root(&mut self, number: usize) -> String {
        if self.rng.one_in(8) {
            let depth = 2 + self.rng.below(10);
            let (field, of) =
                if self.rng.one_in(2) { ("__schema", "__Schema") } else { ("__type(name: \"User\")", "__Type") };
            return format!("r{number}: {field} {}", self.selection(of, depth));
        }
        let fields = self.definition.fields("Query");
        let field = (*self.rng.choose(&fields)).clone();
        let depth = 2 + self.rng.below(7);
        self.document.aliases += 1;
        format!("r{number}: {}", self.field(&field, depth))
    }

    /// A field with arguments and a selection, without an alias.
    fn field(&mut self, field: &FieldDefinition, depth: usize) -> String {
        self.document.fields += 1;
        let name = field.name.node.to_string();
        let arguments = self.arguments(field);
        let inner = innermost(&field.ty.node).to_owned();
        let selection =
            if self.definition.fields(&inner).is_empty() { String::new() } else { self.selection(&inner, depth - 1) };
        format!("{name}{arguments} {selection}")
    }

    /// A selection of some or all fields of a type, sometimes as a fragment.
    fn selection(&mut self, of: &str, depth: usize) -> String {
        let fields: Vec<FieldDefinition> = self.definition.fields(of).into_iter().cloned().collect();
        let share = *self.rng.choose(&[1, 2, 3, 6]);
        let mut texts = vec!["__typename".to_owned()];
        for field in &fields {
            let is_leaf = self.definition.fields(innermost(&field.ty.node)).is_empty();
            let times = match is_leaf {
                true => usize::from(self.rng.one_in(share)),
                false if depth < 2 || self.document.fields > 300 => 0,
                false if self.rng.one_in(12) => 2 + self.rng.below(8),
                false => usize::from(self.rng.one_in(share + 1)),
            };
            for time in 0..times {
                if time > 0 && self.document.aliases >= 25 {
                    break;
                }
                let text = self.field(field, depth);
                if time > 0 {
                    self.document.aliases += 1;
                    texts.push(format!("a{time}{}: {text}", field.name.node));
                } else {
                    texts.push(text);
                }
            }
        }
        if of == "Node" {
            for of in ["User", "Group", "Institution"] {
                // Fields with the same response name must have the same type in every fragment.
                texts
                    .push(format!("... on {of} {{ x{of}: id {} }}", if of == "User" { "groups { name }" } else { "" }));
            }
            self.document.aliases += 3;
        }
        let text = format!("{{ {} }}", texts.join(" "));
        if !self.rng.one_in(5) {
            return text;
        }
        let number = self.document.fragments.len();
        self.document.fragments.push(format!("fragment F{number} on {of} {text}"));
        format!("{{ ...F{number} }}")
    }

    fn arguments(&mut self, field: &FieldDefinition) -> String {
        let name = field.name.node.as_str();
        let is_backward = self.rng.one_in(4);
        let mut given = Vec::new();
        for argument in &field.arguments {
            let argument = &argument.node;
            let value = match argument.name.node.as_str() {
                "first" if !is_backward => Some(json!(*self.rng.choose(&[1, 2, 3, 10, 50, 100]))),
                "last" if is_backward => Some(json!(*self.rng.choose(&[1, 5, 20, 100]))),
                "first" | "last" | "after" | "before" | "license" => None,
                "ids" => Some(self.ids()),
                "keys" => Some(self.keys()),
                "source" => self.rng.one_in(2).then(|| json!(self.rng.choose(&["hr", "most"]))),
                "id" => Some(self.id(name)),
                "by" => Some(json!({ "id": self.user() })),
                "query" => Some(self.search()),
                "nameContains" => self.rng.one_in(2).then(|| self.word()),
                "filter" if name == "auditEvents" => self.rng.one_in(2).then(|| self.audit_filter()),
                "filter" => self.rng.one_in(2).then(|| self.filter(3)),
                "orderBy" => self.rng.one_in(2).then(|| self.order()),
                "types" => self.rng.one_in(2).then(|| json!([self.rng.choose(&["USER", "GROUP"])])),
                "includeDeprecated" | "includeInactive" => Some(json!(self.rng.one_in(2))),
                other => panic!("{other} of {name}"),
            };
            let Some(value) = value else { continue };
            let variable = format!("v{}", self.document.declared.len());
            self.document.declared.push(format!("${variable}: {}", argument.ty.node));
            self.document.variables.insert(variable.clone(), value);
            given.push(format!("{}: ${variable}", argument.name.node));
        }
        if given.is_empty() { String::new() } else { format!("({})", given.join(", ")) }
    }

    fn user(&mut self) -> Value {
        json!(self.rng.choose(&self.argument_values.users))
    }

    fn id(&mut self, field: &str) -> Value {
        let from = match field {
            "group" => &self.argument_values.groups,
            "institution" => &self.argument_values.institutions,
            "license" => &self.argument_values.licenses,
            _ => &self.argument_values.users,
        };
        json!(self.rng.choose(from))
    }

    fn ids(&mut self) -> Value {
        let count = *self.rng.choose(&[1, 10, 100]);
        let of = |rng: &mut Rng, argument_values: &ArgumentValues| {
            let from = [&argument_values.users, &argument_values.groups, &argument_values.institutions][rng.below(3)];
            rng.choose(from).clone()
        };
        (0..count).map(|_| of(&mut self.rng, &self.argument_values)).collect()
    }

    fn keys(&mut self) -> Value {
        let count = *self.rng.choose(&[1, 50, 1_000]);
        (0..count).map(|_| if self.rng.one_in(2) { self.user() } else { self.word() }).collect()
    }

    fn word(&mut self) -> Value {
        let word = self.rng.choose(&self.argument_values.words).clone();
        let length = 1 + self.rng.below(word.chars().count());
        json!(if self.rng.one_in(3) { word } else { word.chars().take(length).collect() })
    }

    fn search(&mut self) -> Value {
        let most = if self.rng.one_in(5) { 10 } else { 3 };
        let count = 1 + self.rng.below(most);
        let words: Vec<String> = (0..count).map(|_| self.word().as_str().unwrap().to_owned()).collect();
        json!(words.join(" ").chars().take(200).collect::<String>())
    }

    fn audit_filter(&mut self) -> Value {
        match self.rng.below(4) {
            0 => json!({ "actor": self.user() }),
            1 => json!({ "subject": self.user() }),
            2 => json!({ "action": ["USER_DELETED", "LOGIN_FAILED"] }),
            _ => json!({ "since": "2020-01-01T00:00:00Z", "until": "2120-01-01T00:00:00Z" }),
        }
    }

    fn order(&mut self) -> Value {
        let fields = [
            "DATE_JOINED",
            "EMAIL",
            "FIRST_NAME",
            "LAST_LOGIN",
            "LAST_NAME",
            "MODIFIED_AT",
            "POSITION",
            "ROLE",
            "USERNAME",
        ];
        let count = 1 + self.rng.below(fields.len());
        let start = self.rng.below(fields.len());
        let fields = fields.iter().cycle().skip(start).take(count);
        fields.map(|field| json!({ "field": field, "direction": self.rng.choose(&["ASC", "DESC"]) })).collect()
    }

    fn filter(&mut self, depth: usize) -> Value {
        let texts =
            ["firstName", "lastName", "email", "username", "nickname", "position", "phone", "website", "orcidId"];
        let self_service = ["contains", "startsWith", "endsWith", "eq", "gt", "lt"];
        match self.rng.below(if depth > 1 { 9 } else { 6 }) {
            0 => json!({ "group": { "eq": self.id("group") } }),
            1 => json!({ "institution": { "in": [self.id("institution"), self.id("institution")] } }),
            2 => json!({ "role": ["USER"], "isStaff": false }),
            6 => json!({ "or": (0..2 + self.rng.below(6)).map(|_| self.filter(depth - 1)).collect::<Vec<_>>() }),
            7 => json!({ "and": (0..2 + self.rng.below(4)).map(|_| self.filter(depth - 1)).collect::<Vec<_>>() }),
            8 => json!({ "not": self.filter(depth - 1) }),
            _ => {
                let mut comparison = json!({ "caseSensitive": self.rng.one_in(2) });
                comparison[*self.rng.choose(&self_service)] = self.word();
                let mut filter = json!({});
                filter[*self.rng.choose(&texts)] = comparison;
                filter
            }
        }
    }
}
