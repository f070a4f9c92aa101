-- Text is folded by other rules. No table changes; whatever is derived from text is derived again after a step.
SELECT 1;
