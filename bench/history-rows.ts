import type pg from 'pg'

/**
 * Fills a database with a year of benchmarks, drawn in SQL from a fixed seed, around one run that was really made: its
 * spec, models and environment are what each run carries, so that rows have the sizes of real ones.
 *
 * - 12 suites, the first five of them in two of three runs; each run has two subjects (a model with 16 K/V heads and the
 *   same with 4, 1 or 2) and eight series of ten samples: load, pp512, tg128 and tg128 @ d4096 of both.
 * - Samples scatter by 2 % around a level (lognormal), one in fifty is an outlier of 15 to 60 %; four machines differ in
 *   speed, one in seven runs is for CUDA. In the last six days the first suite's decode is 8 % slower.
 * - 95 % SUCCEEDED, 3 % FAILED after their load, 2 % CANCELED without results; one in 200 is pinned.
 * - Labels: branch (main in 60 %, else one of 400), commit (one of 8,000, in the order of time) and made-by; a third has
 *   a note. Six or so events a run, as a worker writes them.
 */
export async function fillHistory(client: pg.Client, templateId: string, runs: number): Promise<void> {
  // Foreign keys are not looked at row by row: all rows of a run come from one list.
  await client.query("SET session_replication_role = 'replica'; SET synchronous_commit = off; SELECT setseed(0.5)")
  for (const statement of statements(templateId, runs)) await client.query(statement)
  await client.query('DROP TABLE filled, subjects_filled')
  await client.query('VACUUM ANALYZE')
}

const models = [
  ['gpt2', 20],
  ['gpt2-medium', 55],
  ['llama-160m', 26],
  ['falcon-rw-small', 24],
  ['tiny-starcoder', 23],
  ['gpt2-large', 110],
  ['llama-1b', 160],
  ['falcon-7b-small', 31],
  ['santacoder', 150],
  ['falcon-rw-1b', 190],
  ['llama-3b', 410],
  ['gpt2-xl', 220],
] as const

/** A standard normal variable (Box and Muller). */
const normal = 'sqrt(-2 * ln(1 - random())) * cos(6.283185307 * random())'

function statements(templateId: string, runs: number): string[] {
  const template = `'${templateId}'::uuid`
  const modelRows = models.map(([name, milliseconds], suite) => `(${suite}, '${name}', ${milliseconds}::float8)`)
  return [
    `CREATE TEMP TABLE filled AS
      SELECT n, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
          || '8' || substr(md5(random()::text), 1, 15))::uuid AS id, at,
        suite, 'bench-' || (1 + floor(4 * host ^ 3)) AS host, 1 + 0.12 * floor(4 * host ^ 3) AS slowness,
        CASE WHEN random() < 1 / 7.0 THEN 'CUDA' ELSE 'CPU' END::"Device" AS device,
        CASE WHEN fate < 0.95 THEN 'SUCCEEDED' WHEN fate < 0.98 THEN 'FAILED' ELSE 'CANCELED' END::"RunStatus" AS status,
        random() AS draw
      FROM (SELECT n, now() - (${runs} - n + random()) / ${runs} * interval '365 days' AS at,
          floor(CASE WHEN random() < 0.6 THEN 5 * random() ELSE 12 * random() END)::int AS suite,
          random() AS host, random() AS fate
        FROM generate_series(1, ${runs}) AS n) AS drawn`,
    `CREATE TEMP TABLE subjects_filled AS
      SELECT filled.n, filled.id, filled.at, filled.status, filled.device, place AS index, suite,
        model.name, CASE place WHEN 0 THEN 16 ELSE (ARRAY[4, 1, 2])[1 + suite % 3] END AS kv_heads,
        model.milliseconds * slowness * CASE place WHEN 0 THEN 1 ELSE 0.9 END AS milliseconds
      FROM filled JOIN (VALUES ${modelRows.join(', ')}) AS model(suite, name, milliseconds) USING (suite),
        generate_series(0, 1) AS place ORDER BY n, place`,
    seriesStatement(),
    `INSERT INTO "Run" (id, kind, status, spec, "specHash", note, pinned, device, attempt, takes, "lastSeq", fraction,
        "workerId", hostname, "queuedAt", "startedAt", "finishedAt", environment, warnings, "keyFigure",
        "errorCode", "errorMessage")
      SELECT filled.id, 'BENCHMARK', filled.status, run.spec, run."specHash",
        CASE WHEN draw < 0.2 THEN 'nightly of ' || at::date WHEN draw < 0.3 THEN 'rerun: the machine was busy'
          WHEN draw < 0.33 THEN 'pull request ' || floor(draw * 1e6) END,
        draw > 0.995, filled.device, CASE filled.status WHEN 'CANCELED' THEN 0 ELSE 1 END, 1, 6,
        CASE filled.status WHEN 'SUCCEEDED' THEN 1 ELSE 0.3 END, run."workerId", filled.host, at,
        at + interval '1 second', at + interval '3 minutes',
        CASE filled.status WHEN 'SUCCEEDED' THEN run.environment || jsonb_build_object('hostname', filled.host) END,
        run.warnings, series.median / 128, CASE filled.status WHEN 'FAILED' THEN 'OUT_OF_MEMORY' END,
        CASE filled.status WHEN 'FAILED' THEN 'the machine has too little memory for the model' END
      FROM filled JOIN "Run" AS run ON run.id = ${template} LEFT JOIN "Series" AS series ON series."runId" = filled.id
        AND series.attempt = 1 AND series."subjectIndex" = 0 AND series.test = 'tg128 @ d4096' ORDER BY n`,
    `INSERT INTO "Subject" ("runId", index, name, "modelName", "attentionKind", "kvHeads", device, threads, synthetic,
        model, dtype, "computeDtype", fingerprint)
      SELECT filled.id, filled.index, filled.name || CASE filled.index WHEN 0 THEN '' ELSE '-kv' || kv_heads END, filled.name,
        CASE filled.kv_heads WHEN 16 THEN 'MHA' WHEN 1 THEN 'MQA' ELSE 'GQA' END::"AttentionKind", filled.kv_heads, filled.device,
        2, subject.synthetic, subject.model, 'F32', 'F32', subject.fingerprint
      FROM subjects_filled AS filled JOIN "Subject" AS subject ON subject."runId" = ${template}
        AND subject.index = filled.index`,
    `INSERT INTO "RunLabel" ("runId", key, value)
      SELECT id, 'branch', CASE WHEN random() < 0.6 THEN 'main' ELSE 'feature-' || floor(400 * random()) END FROM filled
      UNION ALL SELECT id, 'commit', substr(md5(floor(8000.0 * n / ${runs})::text), 1, 12) FROM filled
      UNION ALL SELECT id, 'made-by', CASE WHEN random() < 0.7 THEN 'ci' ELSE 'person-' || floor(20 * random()) END
        FROM filled`,
    `INSERT INTO "RunEvent" ("runId", seq, at, attempt, status, fraction, message)
      SELECT filled.id, seq, filled.at + seq * interval '25 seconds', least(seq - 1, 1),
        CASE seq WHEN 1 THEN 'QUEUED'::"RunStatus" WHEN 2 THEN 'RUNNING' WHEN 6 THEN filled.status END, (seq - 1) / 5.0,
        CASE WHEN seq BETWEEN 3 AND 5 THEN 'tg128 @ d4096, block ' || seq || ' of 10' END
      FROM filled, generate_series(1, 6) AS seq`,
  ]
}

/** Median by PostgreSQL; the interval of ten samples from the second to the ninth, which holds the median in 98 %. */
function seriesStatement(): string {
  return `INSERT INTO "Series" ("runId", attempt, "subjectIndex", phase, test, "promptTokens", "generatedTokens", depth,
      batch, samples, "kvCacheBytes", "kvCacheBytesPredicted", "kvCacheBytesAllocated", "peakMemoryBytes",
      "peakMemoryBytesPredicted", "bytesRead", "kvBytesRead", flops, median, "intervalLow", "intervalHigh")
    SELECT id, 1, index, phase, test, pp, tg, depth, 1, drawn, kv, kv, kv * 2, 1500000000 + 10000000 * (n % 7), 1500000000,
      500000000::bigint * greatest(tg, 1) + kv, kv, 1e9 * greatest(pp + tg, 1),
      (sorted[(count + 1) / 2] + sorted[count / 2 + 1]) / 2, CASE WHEN count > 4 THEN sorted[2] END,
      CASE WHEN count > 4 THEN sorted[9] END
    FROM (
      SELECT filled.*, test.*, 2 * 12 * 64 * kv_heads * 4 * (depth + pp + tg)::bigint AS kv, count, drawn,
        ARRAY(SELECT sample FROM unnest(drawn) AS sample ORDER BY sample) AS sorted
      FROM subjects_filled AS filled JOIN (VALUES
        ('LOAD'::"Phase", '', 0, 0, 0, 40.0), ('PREFILL', 'pp512', 512, 0, 0, 20.0),
        ('DECODE', 'tg128', 0, 128, 0, 128.0), ('DECODE', 'tg128 @ d4096', 0, 128, 4096, 160.0)
      ) AS test(phase, test, pp, tg, depth, steps)
        ON filled.status = 'SUCCEEDED' OR (filled.status = 'FAILED' AND test.phase = 'LOAD'),
      LATERAL (SELECT CASE test.phase WHEN 'LOAD' THEN 1 ELSE 10 END AS count) AS counted,
      LATERAL (SELECT ARRAY(SELECT filled.milliseconds * test.steps
          * CASE WHEN suite = 0 AND test.phase = 'DECODE' AND at > now() - interval '6 days' THEN 1.08 ELSE 1 END
          * exp(0.02 * ${normal}) * CASE WHEN random() < 0.02 THEN 1.15 + 0.45 * random() ELSE 1 END
        FROM generate_series(1, counted.count)) AS drawn) AS samples
    ) AS series ORDER BY n, index, steps`
}
