/** A public model's config.json, reduced to the fields that say what it is, under the hub's own field names. */
export interface Preset {
  name: string
  config: Record<string, unknown>
}
