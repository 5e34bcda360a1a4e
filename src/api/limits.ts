import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  type SelectionSetNode,
  TypeMetaFieldDef,
  valueFromASTUntyped,
} from 'graphql'
import { AppError } from '../errors.ts'

/** What one request may ask for; the schema's description and README say the same. */
export const requestLimits = {
  bodyBytes: 262_144,
  tokens: 4_000,
  /** what graphql's own introspection query takes */
  depth: 15,
  rootFields: 20,
  aliases: 30,
  cost: 20_000,
  pageSize: 100,
  /** numbers and tokens in lists of one answer: 16 maps of 128 tokens, a quarter of a second of this process */
  values: 262_144,
  subscriptionsPerSocket: 100,
} as const

/** How many elements a list that is not told `first` or `last` usually has; 5 where the table is silent. */
const usualLengths: Record<string, number> = {
  'Query.presets': 20,
  'Query.lectureAudit': 30,
  'Query.runs': 20,
  'RunConnection.nodes': 1,
  'RunConnection.edges': 1,
  'Query.baselines': 20,
  'RetentionPlan.runs': 100,
  'Trend.points': 500,
  'BenchmarkRun.series': 20,
  'BenchmarkRun.comparison': 20,
  'Series.predictions': 15,
  'BenchmarkRun.fits': 4,
  'BenchmarkComparison.rows': 50,
  'BenchmarkComparison.candidates': 10,
  'DiversityComparison.rows': 50,
  'DiversityComparison.candidates': 10,
  'WeightSlicesRun.slices': 20,
  'WeightSliceConnection.nodes': 1,
  'WeightSliceConnection.edges': 1,
  'WeightSlicesComparison.rows': 100,
  'WeightSlicesComparison.candidates': 10,
  'AttentionMapsRun.prompts': 12,
  'AttentionMapsRun.maps': 16,
  'PromptTokens.tokens': 16,
  'Diversity.entropy': 16,
  'Diversity.behaviours': 80,
}

/**
 * Fields that take more than reading a column: those that open files or resample. 1 where the table is silent. A config
 * of 1024 layers that share 32,768 experts keeps a core for 0.3 s in `model` and 0.15 s in `kvCache`, which list every
 * tensor: one request has 4 of the one or 9 of the other.
 */
const ownCosts: Record<string, number> = {
  'Query.model': 4_000,
  'Query.kvCache': 2_000,
  'Query.compareRuns': 500,
  'Query.trend': 500,
  'Query.retentionPlan': 2_000,
  'BenchmarkRun.comparison': 100,
  'BenchmarkRun.fits': 100,
  'Summary.interval': 20,
  'RunConnection.totalCount': 20,
  'WeightSliceConnection.totalCount': 20,
  'WeightSlicesRun.sharing': 20,
  'WeightSlice.values': 50,
  'AttentionMapsRun.maps': 20,
  'AttentionMapsRun.diversity': 20,
  // a number for each pair of heads
  'Diversity.jsDistance': 400,
  'AttentionMap.values': 50,
  'AttentionMap.row': 10,
  'AttentionTile.mean': 100,
  'AttentionTile.maximum': 100,
}

interface Size {
  cost: number
  depth: number
  aliases: number
}

/**
 * Refuses an operation that asks for too much, before anything is resolved. Fragments are measured once, so a document
 * cannot make the measuring itself dear. How wide introspection may be is left to graphql's own rule.
 * @throws AppError LIMIT_EXCEEDED
 */
export function checkRequestLimits(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): void {
  const root = schema.getRootType(operation.operation)
  if (!root) return
  const fields = countRootFields(operation.selectionSet, fragmentsOf(document), new Set())
  refuseAbove(requestLimits.rootFields, fields, 'fields at the root')
  const size = measure(schema, document, operation.selectionSet, root, withDefaults(operation, variables))
  refuseAbove(requestLimits.depth, size.depth, 'levels of fields')
  refuseAbove(requestLimits.aliases, size.aliases, 'aliases')
  refuseAbove(requestLimits.cost, size.cost, 'units of cost')
}

function refuseAbove(most: number, asked: number, what: string): void {
  if (asked <= most) return
  throw new AppError(
    'LIMIT_EXCEEDED',
    `the request asks for ${Number.isFinite(asked) ? asked : 'endlessly many'} ${what}, more than ${most}`,
    'Ask for fewer fields, shorter pages, or in several requests.',
  )
}

/** The variables as they will be executed: one that is not given has its default, one that is given as null has none. */
function withDefaults(
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const values: Record<string, unknown> = { ...variables }
  for (const { variable, defaultValue } of operation.variableDefinitions ?? []) {
    const name = variable.name.value
    if (defaultValue !== undefined && values[name] === undefined) values[name] = valueFromASTUntyped(defaultValue)
  }
  return values
}

function fragmentsOf(document: DocumentNode): Map<string, FragmentDefinitionNode> {
  const fragments = document.definitions.filter((definition) => definition.kind === Kind.FRAGMENT_DEFINITION)
  return new Map(fragments.map((fragment) => [fragment.name.value, fragment]))
}

function countRootFields(
  selections: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  seen: Set<string>,
): number {
  let count = 0
  for (const selection of selections.selections) {
    if (selection.kind === Kind.FIELD) count += 1
    else if (selection.kind === Kind.INLINE_FRAGMENT) count += countRootFields(selection.selectionSet, fragments, seen)
    else if (!seen.has(selection.name.value)) {
      seen.add(selection.name.value)
      const fragment = fragments.get(selection.name.value)
      if (fragment) count += countRootFields(fragment.selectionSet, fragments, seen)
    }
  }
  return count
}

function measure(
  schema: GraphQLSchema,
  document: DocumentNode,
  selections: SelectionSetNode,
  root: GraphQLNamedType,
  variables: Readonly<Record<string, unknown>>,
): Size {
  const fragments = fragmentsOf(document)
  const known = new Map<string, Size>()
  const endless: Size = { cost: Number.POSITIVE_INFINITY, depth: Number.POSITIVE_INFINITY, aliases: 0 }

  function ofSelections(set: SelectionSetNode, parent: GraphQLNamedType): Size {
    const total: Size = { cost: 0, depth: 0, aliases: 0 }
    for (const selection of set.selections) {
      const size =
        selection.kind === Kind.FIELD
          ? ofField(selection, parent)
          : selection.kind === Kind.INLINE_FRAGMENT
            ? ofSelections(selection.selectionSet, typeNamed(selection.typeCondition?.name.value, parent))
            : ofFragment(selection.name.value, parent)
      total.cost += size.cost
      total.depth = Math.max(total.depth, size.depth)
      total.aliases += size.aliases
    }
    return total
  }

  function ofFragment(name: string, parent: GraphQLNamedType): Size {
    const measured = known.get(name)
    if (measured) return measured
    const fragment = fragments.get(name)
    if (!fragment) return { cost: 0, depth: 0, aliases: 0 }
    known.set(name, endless) // met again on the way down: a cycle
    const size = ofSelections(fragment.selectionSet, typeNamed(fragment.typeCondition.name.value, parent))
    known.set(name, size)
    return size
  }

  function ofField(field: FieldNode, parent: GraphQLNamedType): Size {
    const aliases = field.alias === undefined ? 0 : 1
    const name = field.name.value
    const definition = definitionOf(parent, name)
    const place = `${parent.name}.${name}`
    const own = ownCosts[place] ?? 1
    if (!definition || !field.selectionSet) return { cost: own, depth: 1, aliases }
    const below = ofSelections(field.selectionSet, getNamedType(definition.type))
    const list = isListType(getNullableType(definition.type)) && !isIntrospectionType(parent)
    const length = pageLength(field, definition, variables) ?? usualLengths[place] ?? (list ? 5 : 1)
    return { cost: own + length * below.cost, depth: below.depth + 1, aliases: aliases + below.aliases }
  }

  function typeNamed(name: string | undefined, parent: GraphQLNamedType): GraphQLNamedType {
    return (name === undefined ? undefined : schema.getType(name)) ?? parent
  }

  return ofSelections(selections, root)
}

function definitionOf(parent: GraphQLNamedType, name: string): GraphQLField<unknown, unknown> | undefined {
  if (name === SchemaMetaFieldDef.name) return SchemaMetaFieldDef
  if (name === TypeMetaFieldDef.name) return TypeMetaFieldDef
  return isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined
}

/**
 * The value that `first` or `last` will have, 1 to the longest page; what is out of range is refused by its resolver.
 * null: neither has one.
 */
function pageLength(
  field: FieldNode,
  definition: GraphQLField<unknown, unknown>,
  variables: Readonly<Record<string, unknown>>,
): number | null {
  const asked = definition.args
    .filter(({ name }) => name === 'first' || name === 'last')
    .map(({ name, defaultValue }) => {
      const value = field.arguments?.find((argument) => argument.name.value === name)?.value
      return (value && valueFromASTUntyped(value, variables)) ?? defaultValue
    })
    .filter((value) => typeof value === 'number')
  return asked.length === 0 ? null : Math.min(Math.max(...asked, 1), requestLimits.pageSize)
}
