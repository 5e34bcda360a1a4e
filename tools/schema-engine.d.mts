interface Places {
  url: string
  schemaFile: string
  migrations: string
}

export function nextMigration(places: Places): Promise<string | null>
export function findDisagreements(places: Places): Promise<string[]>
