package policy

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func transactionClass(k pg.TransactionStmtKind) Class {
	switch k {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START:
		return "begin"
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		return "commit"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		return "rollback"
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		return "savepoint"
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		return "release_savepoint"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		return "rollback_to_savepoint"
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE:
		return "prepare_transaction"
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED:
		return "commit_prepared"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		return "rollback_prepared"
	}
	return ClassUnknown
}

func transactionEffect(s *pg.TransactionStmt) TransactionEffect {
	switch s.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START:
		return TransactionBegin
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		if s.Chain {
			return TransactionCommitAndChain
		}
		return TransactionCommit
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE:
		return TransactionCommit
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		if s.Chain {
			return TransactionRollbackAndChain
		}
		return TransactionRollback
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT, pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		return TransactionSavepoint
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		return TransactionRollbackTo
	}
	return TransactionNone // COMMIT PREPARED: of another transaction
}

// The grammar spells SET TRANSACTION as the setting of several variables at
// once, and SET SESSION CHARACTERISTICS likewise.
const (
	setTransaction     = "TRANSACTION"
	setCharacteristics = "SESSION CHARACTERISTICS"
	setSnapshot        = "TRANSACTION SNAPSHOT"
)

func setClass(s *pg.VariableSetStmt) Class {
	switch strings.ToLower(s.Name) {
	case "role":
		return "set_role"
	case "session_authorization":
		return "set_session_authorization"
	}
	switch {
	case s.Name == setTransaction, s.Name == setSnapshot:
		return "set_transaction"
	case s.Kind == pg.VariableSetKind_VAR_RESET, s.Kind == pg.VariableSetKind_VAR_RESET_ALL:
		return "reset"
	}
	return classSet
}

func settingsOf(s *pg.VariableSetStmt) []Setting {
	switch {
	case s.Name == setSnapshot:
		return nil
	case s.Name == setTransaction, s.Name == setCharacteristics:
		var all []Setting
		for _, n := range s.Args {
			set := characteristic(n.GetDefElem())
			if set.Local = s.Name == setTransaction; !set.Local {
				set.Name = "default_" + set.Name
			}
			all = append(all, set)
		}
		return all
	case s.Kind == pg.VariableSetKind_VAR_RESET_ALL:
		return []Setting{{Name: "all"}}
	}
	set := Setting{Name: strings.ToLower(s.Name), Local: s.IsLocal}
	if s.Kind == pg.VariableSetKind_VAR_SET_VALUE {
		set.Known = true
		values := make([]string, 0, len(s.Args))
		for _, n := range s.Args {
			v, known := constantText(n)
			set.Known = set.Known && known
			values = append(values, v)
		}
		if set.Known {
			set.Value = strings.Join(values, ", ")
		}
	}
	return []Setting{set}
}

// characteristic is one of a transaction's: transaction_isolation, ...
func characteristic(d *pg.DefElem) Setting {
	v, known := constantText(d.GetArg())
	if name := d.GetDefname(); strings.HasSuffix(name, "_only") || strings.HasSuffix(name, "_deferrable") {
		v = map[string]string{"0": "off", "1": "on"}[v]
	}
	return Setting{Name: d.GetDefname(), Value: v, Known: known}
}

// pgSettings gives the setting that an UPDATE of the view pg_settings makes, or
// nil if it is another UPDATE. The parameter is the one that WHERE equates with
// the column name; where it is not that simple the setting has no name.
func pgSettings(s *pg.UpdateStmt) *Setting {
	r := s.Relation
	if r.GetRelname() != "pg_settings" || r.Schemaname != "" && r.Schemaname != "pg_catalog" {
		return nil
	}
	var set Setting
	if e := s.WhereClause.GetAExpr(); e.GetKind() == pg.A_Expr_Kind_AEXPR_OP && dotted(e.Name) == "=" {
		column := e.Lexpr.GetColumnRef().GetFields()
		if n := len(column); n > 0 && column[n-1].GetString_().GetSval() == "name" {
			v, _ := constantText(e.Rexpr)
			set.Name = strings.ToLower(v)
		}
	}
	for _, n := range s.TargetList {
		if t := n.GetResTarget(); t.GetName() == "setting" {
			set.Value, set.Known = constantText(t.Val)
		}
	}
	return &set
}

// constantText gives the text of a constant that is not null; a cast of one is
// one.
func constantText(n *pg.Node) (string, bool) {
	switch e := n.GetNode().(type) {
	case *pg.Node_TypeCast:
		return constantText(e.TypeCast.Arg)
	case *pg.Node_Integer:
		return strconv.Itoa(int(e.Integer.Ival)), true
	case *pg.Node_String_:
		return e.String_.Sval, true
	case *pg.Node_AConst:
		switch v := e.AConst.Val.(type) {
		case *pg.A_Const_Ival:
			return strconv.Itoa(int(v.Ival.Ival)), true
		case *pg.A_Const_Fval:
			return v.Fval.Fval, true
		case *pg.A_Const_Sval:
			return v.Sval.Sval, true
		case *pg.A_Const_Boolval:
			return strconv.FormatBool(v.Boolval.Boolval), true
		}
	case *pg.Node_AExpr:
		// A negative number may be written as a minus and a number.
		if e.AExpr.Lexpr == nil && dotted(e.AExpr.Name) == "-" {
			v, ok := constantText(e.AExpr.Rexpr)
			return "-" + v, ok
		}
	}
	return "", false
}
