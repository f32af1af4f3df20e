-- The sums behind the means of the score table are JSON now, an object for each mean: how many
-- values are not zero, their sum, and what rounding took from it.
UPDATE localstore_scores SET sums = s.sums
FROM (
    SELECT accelerator_id, model_variant_id, json_array(
        json_object('count', count(nullif(pp, 0)), 'sum', total(pp), 'rest', 0.0),
        json_object('count', count(nullif(tg, 0)), 'sum', total(tg), 'rest', 0.0),
        json_object('count', count(nullif(ttft, 0)), 'sum', total(ttft), 'rest', 0.0),
        json_object('count', count(nullif(score, 0)), 'sum', total(score), 'rest', 0.0)) AS sums
    FROM (
        SELECT b.accelerator_id, b.model_variant_id, CAST(b.avg_prompt_tps AS REAL) AS pp,
            CAST(b.avg_gen_tps AS REAL) AS tg, CAST(b.avg_ttft_ms AS REAL) AS ttft,
            CAST(b.performance_score AS REAL) AS score
        FROM localstore_runs r JOIN benchmark_runs b ON b.id = r.run_id
    )
    GROUP BY accelerator_id, model_variant_id
) s
WHERE localstore_scores.accelerator_id = s.accelerator_id
    AND localstore_scores.model_variant_id = s.model_variant_id;
