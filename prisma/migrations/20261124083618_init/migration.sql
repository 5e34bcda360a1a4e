-- CreateEnum
CREATE TYPE "RunKind" AS ENUM ('BENCHMARK');

-- CreateEnum
CREATE TYPE "RunStatus" AS ENUM ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED');

-- CreateEnum
CREATE TYPE "AttentionKind" AS ENUM ('MHA', 'GQA', 'MQA', 'MLA');

-- CreateEnum
CREATE TYPE "Device" AS ENUM ('CPU', 'CUDA', 'WEBGPU', 'COREML', 'DIRECTML');

-- CreateEnum
CREATE TYPE "Phase" AS ENUM ('LOAD', 'COLD', 'FORWARD', 'PREFILL', 'DECODE', 'COMBINED');

-- CreateTable
CREATE TABLE "Run" (
    "id" UUID NOT NULL,
    "kind" "RunKind" NOT NULL,
    "status" "RunStatus" NOT NULL DEFAULT 'QUEUED',
    "spec" JSONB NOT NULL,
    "specHash" TEXT NOT NULL,
    "idempotencyKey" TEXT,
    "note" TEXT,
    "pinned" BOOLEAN NOT NULL DEFAULT false,
    "device" "Device" NOT NULL,
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "takes" INTEGER NOT NULL DEFAULT 0,
    "lastSeq" INTEGER NOT NULL DEFAULT 0,
    "fraction" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "workerId" UUID,
    "hostname" TEXT,
    "queuedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "startedAt" TIMESTAMPTZ(3),
    "finishedAt" TIMESTAMPTZ(3),
    "environment" JSONB,
    "warnings" JSONB NOT NULL DEFAULT '[]',
    "keyFigure" DOUBLE PRECISION,
    "errorCode" TEXT,
    "errorMessage" TEXT,
    "errorHint" TEXT,
    "errorLog" TEXT,

    CONSTRAINT "Run_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "RunLabel" (
    "runId" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "value" TEXT NOT NULL,

    CONSTRAINT "RunLabel_pkey" PRIMARY KEY ("runId","key")
);

-- CreateTable
CREATE TABLE "Subject" (
    "runId" UUID NOT NULL,
    "index" INTEGER NOT NULL,
    "name" TEXT NOT NULL,
    "modelName" TEXT NOT NULL,
    "attentionKind" "AttentionKind" NOT NULL,
    "kvHeads" INTEGER,
    "device" "Device" NOT NULL,
    "threads" INTEGER,
    "synthetic" BOOLEAN NOT NULL,
    "model" JSONB NOT NULL,
    "dtype" TEXT,
    "computeDtype" TEXT,
    "fingerprint" TEXT,

    CONSTRAINT "Subject_pkey" PRIMARY KEY ("runId","index")
);

-- CreateTable
CREATE TABLE "RunEvent" (
    "runId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "attempt" INTEGER NOT NULL,
    "status" "RunStatus",
    "fraction" DOUBLE PRECISION,
    "message" TEXT,

    CONSTRAINT "RunEvent_pkey" PRIMARY KEY ("runId","seq")
);

-- CreateTable
CREATE TABLE "Series" (
    "id" BIGSERIAL NOT NULL,
    "runId" UUID NOT NULL,
    "attempt" INTEGER NOT NULL,
    "subjectIndex" INTEGER NOT NULL,
    "phase" "Phase" NOT NULL,
    "test" TEXT NOT NULL DEFAULT '',
    "promptTokens" INTEGER NOT NULL,
    "generatedTokens" INTEGER NOT NULL,
    "depth" INTEGER NOT NULL,
    "batch" INTEGER NOT NULL,
    "samples" DOUBLE PRECISION[],
    "kvCacheBytes" BIGINT,
    "kvCacheBytesPredicted" BIGINT,
    "kvCacheBytesAllocated" BIGINT,
    "peakMemoryBytes" BIGINT,
    "warnings" JSONB NOT NULL DEFAULT '[]',

    CONSTRAINT "Series_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Worker" (
    "id" UUID NOT NULL,
    "hostname" TEXT NOT NULL,
    "pid" INTEGER NOT NULL,
    "machineId" TEXT NOT NULL,
    "devices" "Device"[],
    "startedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "lastSeen" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "Worker_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "Run_idempotencyKey_key" ON "Run"("idempotencyKey");

-- CreateIndex
CREATE INDEX "Run_queuedAt_id_idx" ON "Run"("queuedAt", "id");

-- CreateIndex
CREATE INDEX "Run_status_device_queuedAt_id_idx" ON "Run"("status", "device", "queuedAt", "id");

-- CreateIndex
CREATE INDEX "Run_keyFigure_id_idx" ON "Run"("keyFigure", "id");

-- CreateIndex
CREATE INDEX "Run_hostname_queuedAt_id_idx" ON "Run"("hostname", "queuedAt", "id");

-- CreateIndex
CREATE INDEX "Run_attempt_idx" ON "Run"("attempt");

-- CreateIndex
CREATE INDEX "RunLabel_key_value_idx" ON "RunLabel"("key", "value");

-- CreateIndex
CREATE INDEX "Subject_modelName_idx" ON "Subject"("modelName");

-- CreateIndex
CREATE INDEX "Subject_attentionKind_kvHeads_idx" ON "Subject"("attentionKind", "kvHeads");

-- CreateIndex
CREATE UNIQUE INDEX "Series_runId_attempt_subjectIndex_phase_test_key" ON "Series"("runId", "attempt", "subjectIndex", "phase", "test");

-- CreateIndex
CREATE INDEX "Worker_lastSeen_idx" ON "Worker"("lastSeen");

-- AddForeignKey
ALTER TABLE "RunLabel" ADD CONSTRAINT "RunLabel_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Subject" ADD CONSTRAINT "Subject_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "RunEvent" ADD CONSTRAINT "RunEvent_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Series" ADD CONSTRAINT "Series_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Series" ADD CONSTRAINT "Series_runId_subjectIndex_fkey" FOREIGN KEY ("runId", "subjectIndex") REFERENCES "Subject"("runId", "index") ON DELETE CASCADE ON UPDATE CASCADE;
