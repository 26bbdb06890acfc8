//! The walk over a parsed statement.

use serde_json::{Map, Value};

use super::{
    Refusal,
    functions::Functions,
    shapes::{self, Fields, Rule},
};

/// Is it `SHOW TABLES`, alone? `Some(true)` for the form with columns and types.
pub(super) fn show_tables(statement: &Value) -> Option<bool> {
    let node = statement.get("node")?;
    let show = node.get("from_table")?;
    let unqualified = text(show, "type") == "SHOW_REF" && text(show, "show_type") == "SHOW_UNQUALIFIED";
    let plain = ["where_clause", "having", "qualify", "modifiers", "group_expressions"]
        .iter()
        .all(|field| node.get(field).is_none_or(is_empty));
    let nothing_else = select_is_star(node) && plain && ctes(node).is_empty();
    match (unqualified && nothing_else, text(show, "table_name")) {
        (true, "\"tables\"") => Some(false),
        (true, "__show_tables_expanded") => Some(true),
        _ => None,
    }
}

fn select_is_star(node: &Value) -> bool {
    node.get("select_list").and_then(Value::as_array).is_some_and(|list| match list.as_slice() {
        [only] => text(only, "class") == "STAR" && text(only, "alias").is_empty(),
        _ => false,
    })
}

/// Walks a statement and gives the names that must be datasets, each once, in order of appearance.
///
/// # Errors
/// The first thing in it that is not allowed.
pub(super) fn datasets(statement: &Value, functions: &Functions) -> Result<Vec<String>, Refusal> {
    let mut walk = Walk { functions, scope: Vec::new(), datasets: Vec::new() };
    walk.fields("statement", object(statement)?, shapes::STATEMENT)?;
    Ok(walk.datasets)
}

struct Walk<'a> {
    functions: &'a Functions,
    /// Names of the CTEs that can be seen here, innermost last, in ASCII lower case as DuckDB
    /// compares them. Never more than DuckDB sees: a name that is missing here must be a dataset.
    scope: Vec<String>,
    datasets: Vec<String>,
}

type Outcome = Result<(), Refusal>;

impl Walk<'_> {
    /// Judges every field of a node by its rule.
    fn fields(&mut self, kind: &str, node: &Map<String, Value>, rules: Fields) -> Outcome {
        self.fields_but(&[], kind, node, rules)
    }

    /// The same without those that the caller judges itself.
    fn fields_but(&mut self, but: &[&str], kind: &str, node: &Map<String, Value>, rules: Fields) -> Outcome {
        for (name, value) in node.iter().filter(|(name, _)| !but.contains(&name.as_str())) {
            let rule = rules.iter().find(|(field, _)| field == name).map(|(_, rule)| *rule);
            match rule {
                Some(rule) => self.judge(kind, name, value, rule)?,
                None if shapes::COMMON.contains(&name.as_str()) => inert(kind, name, value)?,
                None if is_empty(value) => {}
                None => return Err(unknown_field(kind, name)),
            }
        }
        Ok(())
    }

    fn judge(&mut self, kind: &str, name: &str, value: &Value, rule: Rule) -> Outcome {
        match rule {
            Rule::Inert => inert(kind, name, value),
            Rule::Absent if is_empty(value) => Ok(()),
            Rule::Absent => Err(absent(kind, name)),
            Rule::Expr => self.expression(value),
            Rule::Exprs => each(value, |item| self.expression(item)),
            Rule::ExprRows => each(value, |row| each(row, |item| self.expression(item))),
            Rule::Table => self.table(value),
            Rule::Node => self.query(value),
            Rule::Modifier => self.modifier(value),
            Rule::Modifiers => each(value, |item| self.modifier(item)),
            Rule::Statement if value.is_null() => Ok(()),
            Rule::Statement => self.part("subquery", value, shapes::STATEMENT),
            Rule::KeyedExprs => each(value, |item| self.part("replacement", item, shapes::KEYED_EXPRESSION)),
            Rule::Checks => each(value, |item| self.part("CASE", item, shapes::CASE_CHECK)),
            Rule::Orders => each(value, |item| self.part("ORDER BY", item, shapes::ORDER)),
            Rule::Pivots => each(value, |item| self.part("PIVOT", item, shapes::PIVOT)),
            Rule::PivotEntries => each(value, |item| self.part("PIVOT value", item, shapes::PIVOT_ENTRY)),
            Rule::TableFunction => self.table_function(value),
        }
    }

    fn part(&mut self, kind: &str, value: &Value, rules: Fields) -> Outcome {
        self.fields(kind, object(value)?, rules)
    }

    fn expression(&mut self, value: &Value) -> Outcome {
        if value.is_null() {
            return Ok(());
        }
        let node = object(value)?;
        let class = text(value, "class");
        match class {
            "PARAMETER" => {
                return Err(Refusal("parameters are not supported: write the values into the statement".into()));
            }
            "FUNCTION" | "WINDOW" => self.functions.check_scalar(text(value, "function_name"))?,
            _ => {}
        }
        let rules = shapes::expression(class).ok_or_else(|| unknown("expression", class))?;
        self.fields(class, node, rules)
    }

    fn table(&mut self, value: &Value) -> Outcome {
        if value.is_null() {
            return Ok(());
        }
        let node = object(value)?;
        let kind = text(value, "type");
        let rules = shapes::table(kind).ok_or_else(|| unknown("table reference", kind))?;
        match kind {
            "BASE_TABLE" => self.base_table(value)?,
            "SHOW_REF" => show(value)?,
            _ => {}
        }
        self.fields(kind, node, rules)
    }

    fn base_table(&mut self, table: &Value) -> Outcome {
        let name = text(table, "table_name");
        match (text(table, "catalog_name"), text(table, "schema_name")) {
            // `recurring` is how DuckDB spells the rows that a recursive CTE with a key has so far.
            ("", "" | "recurring") if self.sees(name) => return Ok(()),
            ("", "") => {}
            ("", schema) if schema.eq_ignore_ascii_case("main") => {}
            (catalog, schema) => {
                let qualified = [catalog, schema, name].into_iter().filter(|part| !part.is_empty());
                return Err(Refusal(format!(
                    "`{}`: only datasets can be read, and they are in no schema; a name with a dot in it stands in double quotes",
                    qualified.collect::<Vec<_>>().join("."),
                )));
            }
        }
        if !self.datasets.iter().any(|known| known == name) {
            self.datasets.push(name.to_owned());
        }
        Ok(())
    }

    fn sees(&self, name: &str) -> bool {
        self.scope.iter().any(|cte| cte.eq_ignore_ascii_case(name))
    }

    fn table_function(&mut self, value: &Value) -> Outcome {
        let class = text(value, "class");
        if class != "FUNCTION" {
            return Err(unknown("table function", class));
        }
        self.functions.check_table(text(value, "function_name"))?;
        let rules = shapes::expression(class).ok_or_else(|| unknown("table function", class))?;
        self.fields(class, object(value)?, rules)
    }

    fn query(&mut self, value: &Value) -> Outcome {
        if value.is_null() {
            return Ok(());
        }
        let node = object(value)?;
        let kind = text(value, "type");
        let rules = shapes::query(kind).ok_or_else(|| unknown("query", kind))?;
        let outer = self.scope.len();
        self.common_tables(ctes(value))?;
        if kind == "RECURSIVE_CTE_NODE" {
            self.fields_but(&["cte_map", "right"], kind, node, rules)?;
            // It sees itself in its second half only.
            self.scope.push(text(value, "cte_name").to_owned());
            self.query(node.get("right").unwrap_or(&Value::Null))?;
        } else {
            self.fields_but(&["cte_map"], kind, node, rules)?;
        }
        self.scope.truncate(outer);
        Ok(())
    }

    /// Each CTE sees those before it.
    fn common_tables(&mut self, ctes: &[Value]) -> Outcome {
        for entry in ctes {
            let body = entry.get("value").unwrap_or(&Value::Null);
            self.part("WITH", body, shapes::CTE)?;
            self.scope.push(text(entry, "key").to_owned());
        }
        Ok(())
    }

    fn modifier(&mut self, value: &Value) -> Outcome {
        if value.is_null() {
            return Ok(());
        }
        let kind = text(value, "type");
        let rules = shapes::modifier(kind).ok_or_else(|| unknown("clause", kind))?;
        self.fields(kind, object(value)?, rules)
    }
}

/// DESCRIBE and SUMMARIZE look at a query, which is walked like any other. Everything else that
/// begins with SHOW looks at DuckDB's own catalog.
fn show(value: &Value) -> Outcome {
    match text(value, "show_type") {
        "DESCRIBE" | "SUMMARY" => Ok(()),
        _ => Err(Refusal(
            "SHOW is allowed as SHOW TABLES or SHOW ALL TABLES, alone; DESCRIBE <dataset> gives the columns of one"
                .into(),
        )),
    }
}

/// The CTEs of a query node.
fn ctes(node: &Value) -> &[Value] {
    node.get("cte_map").and_then(|map| map.get("map")).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn each(value: &Value, mut judge: impl FnMut(&Value) -> Outcome) -> Outcome {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.iter().try_for_each(&mut judge),
        _ => Err(Refusal("the statement has a form that this service does not know".into())),
    }
}

/// Refuses a node where only names and constants belong.
fn inert(kind: &str, name: &str, value: &Value) -> Outcome {
    /// Fields by which a node is known, or that lead to one.
    const SIGNS: [&str; 8] =
        ["class", "node", "query", "subquery", "select_list", "from_table", "function_name", "table_name"];
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| inert(kind, name, item)),
        Value::Object(map) if SIGNS.iter().any(|sign| map.contains_key(*sign)) => Err(unknown_field(kind, name)),
        Value::Object(map) => map.values().try_for_each(|item| inert(kind, name, item)),
        _ => Ok(()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn object(value: &Value) -> Result<&Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(|| Refusal("the statement has a form that this service does not know".into()))
}

fn absent(kind: &str, name: &str) -> Refusal {
    Refusal(match (kind, name) {
        ("BASE_TABLE", "at_clause") => "AT (VERSION ..) is not supported: datasets are read as they are now".into(),
        ("statement" | "subquery", "named_param_map") => {
            "parameters are not supported: write the values into the statement".into()
        }
        _ => format!("`{name}` of {kind} is not allowed here"),
    })
}

fn unknown(what: &str, kind: &str) -> Refusal {
    Refusal(format!("the statement uses a kind of {what} that is not allowed here: {kind}"))
}

fn unknown_field(kind: &str, name: &str) -> Refusal {
    Refusal(format!("the statement uses a feature of {kind} that is not allowed here: {name}"))
}
