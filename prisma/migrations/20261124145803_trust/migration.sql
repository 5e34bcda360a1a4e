-- CreateEnum
CREATE TYPE "Runtime" AS ENUM ('KVSCOPE', 'TRANSFORMERS_JS');

-- AlterTable
ALTER TABLE "Run" ADD COLUMN     "placedHostname" TEXT,
ADD COLUMN     "placedWorkerId" UUID;

-- AlterTable
ALTER TABLE "Series" ADD COLUMN     "bytesRead" BIGINT,
ADD COLUMN     "flops" DOUBLE PRECISION,
ADD COLUMN     "intervalHigh" DOUBLE PRECISION,
ADD COLUMN     "intervalLow" DOUBLE PRECISION,
ADD COLUMN     "kvBytesRead" BIGINT,
ADD COLUMN     "median" DOUBLE PRECISION,
ADD COLUMN     "peakMemoryBytesPredicted" BIGINT;

-- AlterTable
ALTER TABLE "Subject" ADD COLUMN     "runtime" "Runtime" NOT NULL DEFAULT 'KVSCOPE';

-- CreateTable
CREATE TABLE "Baseline" (
    "name" TEXT NOT NULL,
    "runId" UUID NOT NULL,
    "setAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "Baseline_pkey" PRIMARY KEY ("name")
);

-- CreateIndex
CREATE INDEX "Baseline_runId_idx" ON "Baseline"("runId");

-- AddForeignKey
ALTER TABLE "Baseline" ADD CONSTRAINT "Baseline_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
