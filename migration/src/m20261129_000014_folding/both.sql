-- Text is folded by new rules. No table changes: columns derived from text are derived again after a step.
SELECT 1;
