-- DropIndex
DROP INDEX "RunLabel_key_value_idx";

-- DropIndex
DROP INDEX "Subject_attentionKind_kvHeads_idx";

-- DropIndex
DROP INDEX "Subject_modelName_idx";

-- CreateIndex
CREATE INDEX "Run_kind_status_queuedAt_id_attempt_idx" ON "Run"("kind", "status", "queuedAt", "id", "attempt");

-- CreateIndex
CREATE INDEX "RunLabel_key_value_runId_idx" ON "RunLabel"("key", "value", "runId");

-- CreateIndex
CREATE INDEX "Subject_modelName_runId_idx" ON "Subject"("modelName", "runId");

-- CreateIndex
CREATE INDEX "Subject_attentionKind_kvHeads_runId_idx" ON "Subject"("attentionKind", "kvHeads", "runId");

-- CreateIndex
CREATE INDEX "Subject_name_runId_index_idx" ON "Subject"("name", "runId", "index");

-- Text is found by trigrams. pg_trgm comes with PostgreSQL's contrib modules, and the owner of a database may create it.
-- Where it is not there or not allowed, the search reads every note and name, and gives the same.
DO $$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX "Run_note_idx" ON "Run" USING GIN ("note" gin_trgm_ops);
    CREATE INDEX "Subject_name_idx" ON "Subject" USING GIN ("name" gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file OR undefined_object THEN
    RAISE NOTICE 'runs are searched for text without an index: %', SQLERRM;
END $$;

-- Which columns go together, so that the planner knows how few runs such a pair has.
CREATE STATISTICS "RunLabel_key_value_stats" (mcv) ON "key", "value" FROM "RunLabel";
CREATE STATISTICS "Subject_model_heads_stats" (mcv) ON "modelName", "attentionKind", "kvHeads" FROM "Subject";
