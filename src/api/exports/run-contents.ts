import type { GraphQLSchema } from 'graphql'
import type { RunRow } from '../../db/rows.ts'
import type { Services } from '../context.ts'
import type { ExportedArray } from './exported-array.ts'

/** What a run's latest attempt has stored, to be written in any format. Nothing large is read before it is asked for. */
export interface RunContents extends KindContents {
  run: RunRow
  /** the run as GraphQL shows it, without its events and without fields that need arguments */
  fields: RunFields
}

export type RunFields = Record<string, unknown>

/** What a kind of run has besides its fields. */
export interface KindContents {
  arrays: ExportedArray[]
  /** what the kind adds to the fields in JSON: lists, item by item */
  lists: ExportedList[]
  /** CSV in pieces: the titles, then one record an observation */
  records(): AsyncIterable<string>
}

export interface ExportedList {
  name: string
  /** @param inline whether arrays stand in the items as nested lists where JSON can hold them */
  items(inline: boolean): AsyncIterable<object>
}

export interface ExportServices extends Services {
  schema: GraphQLSchema
}
