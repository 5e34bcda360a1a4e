-- CreateEnum
CREATE TYPE "Projection" AS ENUM ('Q', 'K', 'V', 'O');

-- CreateEnum
CREATE TYPE "TileStatistic" AS ENUM ('MEAN', 'MAXIMUM');

-- AlterEnum
-- This migration adds more than one value to an enum.
-- With PostgreSQL versions 11 and earlier, this is not possible
-- in a single migration. This can be worked around by creating
-- multiple migrations, each migration adding only one value to
-- the enum.


ALTER TYPE "RunKind" ADD VALUE 'WEIGHT_SLICES';
ALTER TYPE "RunKind" ADD VALUE 'ATTENTION_MAPS';

-- CreateTable
CREATE TABLE "WeightMatrix" (
    "runId" UUID NOT NULL,
    "attempt" INTEGER NOT NULL,
    "layer" INTEGER NOT NULL,
    "projection" "Projection" NOT NULL,
    "matrix" INTEGER NOT NULL,
    "heads" INTEGER[],
    "rows" INTEGER NOT NULL,
    "columns" INTEGER NOT NULL,
    "values" BYTEA NOT NULL,
    "minimum" DOUBLE PRECISION NOT NULL,
    "maximum" DOUBLE PRECISION NOT NULL,
    "mean" DOUBLE PRECISION NOT NULL,
    "standardDeviation" DOUBLE PRECISION NOT NULL,
    "tensor" TEXT NOT NULL,
    "tensorShape" INTEGER[],
    "tensorRows" INTEGER[],
    "tensorColumns" INTEGER[],
    "transposed" BOOLEAN NOT NULL,
    "dtype" TEXT NOT NULL,

    CONSTRAINT "WeightMatrix_pkey" PRIMARY KEY ("runId","attempt","layer","projection","matrix")
);

-- CreateTable
CREATE TABLE "HeadSharing" (
    "runId" UUID NOT NULL,
    "attempt" INTEGER NOT NULL,
    "layer" INTEGER NOT NULL,
    "projection" "Projection" NOT NULL,
    "groups" JSONB NOT NULL,
    "byConstruction" BOOLEAN NOT NULL,
    "maxDifference" JSONB NOT NULL,
    "cosine" JSONB NOT NULL,
    "cka" JSONB NOT NULL,

    CONSTRAINT "HeadSharing_pkey" PRIMARY KEY ("runId","attempt","layer","projection")
);

-- CreateTable
CREATE TABLE "AttentionPrompt" (
    "runId" UUID NOT NULL,
    "attempt" INTEGER NOT NULL,
    "prompt" INTEGER NOT NULL,
    "text" TEXT NOT NULL,
    "tokens" JSONB NOT NULL,

    CONSTRAINT "AttentionPrompt_pkey" PRIMARY KEY ("runId","attempt","prompt")
);

-- CreateTable
CREATE TABLE "AttentionHead" (
    "runId" UUID NOT NULL,
    "attempt" INTEGER NOT NULL,
    "prompt" INTEGER NOT NULL,
    "layer" INTEGER NOT NULL,
    "head" INTEGER NOT NULL,
    "kvHead" INTEGER,
    "size" INTEGER NOT NULL,
    "storedAs" TEXT NOT NULL,
    "entropy" DOUBLE PRECISION NOT NULL,
    "overviewSide" INTEGER NOT NULL,
    "overview" BYTEA NOT NULL,

    CONSTRAINT "AttentionHead_pkey" PRIMARY KEY ("runId","attempt","prompt","layer","head")
);

-- CreateTable
CREATE TABLE "AttentionTile" (
    "runId" UUID NOT NULL,
    "attempt" INTEGER NOT NULL,
    "prompt" INTEGER NOT NULL,
    "layer" INTEGER NOT NULL,
    "head" INTEGER NOT NULL,
    "level" INTEGER NOT NULL,
    "row" INTEGER NOT NULL,
    "column" INTEGER NOT NULL,
    "statistic" "TileStatistic" NOT NULL,
    "rows" INTEGER NOT NULL,
    "columns" INTEGER NOT NULL,
    "data" BYTEA NOT NULL,

    CONSTRAINT "AttentionTile_pkey" PRIMARY KEY ("runId","attempt","prompt","layer","head","level","row","column","statistic")
);

-- CreateTable
CREATE TABLE "HeadDiversity" (
    "runId" UUID NOT NULL,
    "attempt" INTEGER NOT NULL,
    "layer" INTEGER NOT NULL,
    "values" JSONB NOT NULL,

    CONSTRAINT "HeadDiversity_pkey" PRIMARY KEY ("runId","attempt","layer")
);

-- AddForeignKey
ALTER TABLE "WeightMatrix" ADD CONSTRAINT "WeightMatrix_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "HeadSharing" ADD CONSTRAINT "HeadSharing_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "AttentionPrompt" ADD CONSTRAINT "AttentionPrompt_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "AttentionHead" ADD CONSTRAINT "AttentionHead_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "AttentionTile" ADD CONSTRAINT "AttentionTile_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "HeadDiversity" ADD CONSTRAINT "HeadDiversity_runId_fkey" FOREIGN KEY ("runId") REFERENCES "Run"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Attention maps hardly compress: tried on every write, it would cost more than it saves.
ALTER TABLE "AttentionTile" ALTER COLUMN "data" SET STORAGE EXTERNAL;
ALTER TABLE "AttentionHead" ALTER COLUMN "overview" SET STORAGE EXTERNAL;
