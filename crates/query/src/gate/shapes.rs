//! What each kind of node may hold: the list that decides what passes.
//!
//! The names are those of DuckDB 1.5's serialised tree. A kind that is not listed is refused;
//! so is a field that is not listed, unless it is empty.

/// How the value of a field is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Names, flags, constants, types: must hold no node.
    Inert,
    /// A feature that is not allowed: must be empty.
    Absent,
    /// An expression, or null.
    Expr,
    /// A list of expressions.
    Exprs,
    /// A list of lists of expressions.
    ExprRows,
    /// Expressions by name: `[{key, value}]`.
    KeyedExprs,
    /// `[{when_expr, then_expr}]`.
    Checks,
    /// A table reference, or null.
    Table,
    /// A query node, or null.
    Node,
    /// A statement (a query node and its parameters), or null.
    Statement,
    /// A list of ORDER BY, LIMIT, DISTINCT.
    Modifiers,
    /// One of these.
    Modifier,
    /// A list of ORDER BY terms.
    Orders,
    /// Pivot columns.
    Pivots,
    /// The values of a pivot column.
    PivotEntries,
    /// The call in a table function.
    TableFunction,
}

use Rule::{
    Absent, Checks, Expr, ExprRows, Exprs, Inert, KeyedExprs, Modifier, Modifiers, Node, Orders, PivotEntries, Pivots,
    Statement, Table, TableFunction,
};

/// The fields of a kind of node.
pub(super) type Fields = &'static [(&'static str, Rule)];

/// Expressions, by class.
pub(super) fn expression(class: &str) -> Option<Fields> {
    Some(match class {
        "BETWEEN" => &[("input", Expr), ("lower", Expr), ("upper", Expr)],
        "CASE" => &[("case_checks", Checks), ("else_expr", Expr)],
        "CAST" => &[("child", Expr), ("cast_type", Inert), ("try_cast", Inert)],
        "COLLATE" => &[("child", Expr), ("collation", Inert)],
        "COLUMN_REF" => &[("column_names", Inert)],
        "COMPARISON" => &[("left", Expr), ("right", Expr)],
        "CONJUNCTION" | "OPERATOR" => &[("children", Exprs)],
        "CONSTANT" => &[("value", Inert)],
        "FUNCTION" => &[
            ("function_name", Inert),
            ("schema", Inert),
            ("catalog", Inert),
            ("children", Exprs),
            ("filter", Expr),
            ("order_bys", Modifier),
            ("distinct", Inert),
            ("is_operator", Inert),
            ("export_state", Absent),
        ],
        "LAMBDA" => &[("lhs", Expr), ("expr", Expr)],
        "POSITIONAL_REFERENCE" => &[("index", Inert)],
        "STAR" => &[
            ("relation_name", Inert),
            ("exclude_list", Inert),
            ("qualified_exclude_list", Inert),
            ("rename_list", Inert),
            ("replace_list", KeyedExprs),
            ("columns", Inert),
            ("expr", Expr),
        ],
        "SUBQUERY" => &[("subquery_type", Inert), ("subquery", Statement), ("child", Expr), ("comparison_type", Inert)],
        "WINDOW" => &[
            ("function_name", Inert),
            ("schema", Inert),
            ("catalog", Inert),
            ("children", Exprs),
            ("partitions", Exprs),
            ("orders", Orders),
            ("arg_orders", Orders),
            ("start", Inert),
            ("end", Inert),
            ("start_expr", Expr),
            ("end_expr", Expr),
            ("offset_expr", Expr),
            ("default_expr", Expr),
            ("filter_expr", Expr),
            ("ignore_nulls", Inert),
            ("distinct", Inert),
            ("exclude_clause", Inert),
        ],
        _ => return None,
    })
}

/// Query nodes, by type.
pub(super) fn query(kind: &str) -> Option<Fields> {
    Some(match kind {
        "SELECT_NODE" => &[
            ("modifiers", Modifiers),
            ("select_list", Exprs),
            ("from_table", Table),
            ("where_clause", Expr),
            ("group_expressions", Exprs),
            ("group_sets", Inert),
            ("aggregate_handling", Inert),
            ("having", Expr),
            ("sample", Inert),
            ("qualify", Expr),
        ],
        "SET_OPERATION_NODE" => {
            &[("modifiers", Modifiers), ("setop_type", Inert), ("setop_all", Inert), ("left", Node), ("right", Node)]
        }
        "RECURSIVE_CTE_NODE" => &[
            ("modifiers", Modifiers),
            ("cte_name", Inert),
            ("union_all", Inert),
            ("aliases", Inert),
            ("key_targets", Exprs),
            ("left", Node),
            ("right", Node),
        ],
        _ => return None,
    })
}

/// Table references, by type. What a base table names is judged by the walk.
pub(super) fn table(kind: &str) -> Option<Fields> {
    Some(match kind {
        "EMPTY" => &[],
        "BASE_TABLE" => &[
            ("catalog_name", Inert),
            ("schema_name", Inert),
            ("table_name", Inert),
            ("column_name_alias", Inert),
            ("at_clause", Absent),
        ],
        "SUBQUERY" => &[("subquery", Statement), ("column_name_alias", Inert)],
        "JOIN" => &[
            ("left", Table),
            ("right", Table),
            ("condition", Expr),
            ("join_type", Inert),
            ("ref_type", Inert),
            ("using_columns", Inert),
            ("delim_flipped", Inert),
            ("duplicate_eliminated_columns", Exprs),
        ],
        "EXPRESSION_LIST" => &[("expected_names", Inert), ("expected_types", Inert), ("values", ExprRows)],
        "TABLE_FUNCTION" => &[("function", TableFunction), ("column_name_alias", Inert), ("with_ordinality", Inert)],
        "PIVOT" => &[
            ("source", Table),
            ("aggregates", Exprs),
            ("unpivot_names", Inert),
            ("pivots", Pivots),
            ("groups", Inert),
            ("column_name_alias", Inert),
            ("include_nulls", Inert),
        ],
        "SHOW_REF" => &[
            ("query", Node),
            ("show_type", Inert),
            ("table_name", Absent),
            ("schema_name", Absent),
            ("catalog_name", Absent),
        ],
        _ => return None,
    })
}

/// ORDER BY, LIMIT, DISTINCT, by type.
pub(super) fn modifier(kind: &str) -> Option<Fields> {
    Some(match kind {
        "ORDER_MODIFIER" => &[("orders", Orders)],
        "LIMIT_MODIFIER" | "LIMIT_PERCENT_MODIFIER" => &[("limit", Expr), ("offset", Expr)],
        "DISTINCT_MODIFIER" => &[("distinct_on_targets", Exprs)],
        _ => return None,
    })
}

/// Parts that have no kind of their own.
pub(super) const STATEMENT: Fields = &[("node", Node), ("named_param_map", Absent)];
pub(super) const CTE: Fields =
    &[("aliases", Inert), ("query", Statement), ("materialized", Inert), ("key_targets", Exprs)];
pub(super) const CASE_CHECK: Fields = &[("when_expr", Expr), ("then_expr", Expr)];
pub(super) const KEYED_EXPRESSION: Fields = &[("key", Inert), ("value", Expr)];
pub(super) const ORDER: Fields = &[("type", Inert), ("null_order", Inert), ("expression", Expr)];
pub(super) const PIVOT: Fields =
    &[("pivot_expressions", Exprs), ("unpivot_names", Inert), ("entries", PivotEntries), ("pivot_enum", Absent)];
pub(super) const PIVOT_ENTRY: Fields = &[("values", Inert), ("star_expr", Expr), ("alias", Inert)];

/// Fields that many kinds have; all of them inert.
pub(super) const COMMON: [&str; 5] = ["class", "type", "alias", "query_location", "sample"];
