-- DropForeignKey
ALTER TABLE "AttentionTile" DROP CONSTRAINT "AttentionTile_runId_fkey";

-- CreateTable
CREATE TABLE "DeletedRun" (
    "id" UUID NOT NULL,

    CONSTRAINT "DeletedRun_pkey" PRIMARY KEY ("id")
);
