/**
 * Options of the client, taken from the OpenAPI document: the wire's names in camel case.
 *
 * Only names at the top and in the few nested objects that are ours (`retryPolicy`, `retention`, `filter`)
 * change; values, inputs, headers and errors are handed over as they are.
 */

import type { operations } from './openapi.gen.js'
import type { RetryPolicy } from './wire.js'

type CamelName<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelName<Tail>>}`
  : Name

type CamelValue<Name, Value> = Name extends 'retry_policy'
  ? RetryPolicy
  : Name extends 'retention' | 'filter'
    ? CamelOptions<NonNullable<Value>>
    : NonNullable<Value> extends readonly (infer Item)[]
      ? readonly Item[]
      : unknown extends Value
        ? unknown
        : Value

/** An object of the wire in camel case. */
export type CamelOptions<T> = {
  readonly [Name in keyof T as Name extends string ? CamelName<Name> : never]:
    | CamelValue<Name, T[Name]>
    | undefined
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** The query of an operation as options. */
export type QueryOf<Operation extends keyof operations> = CamelOptions<
  NonNullable<operations[Operation]['parameters']['query']>
> &
  CallOptions

/** An object of the wire as options of a call, but for some of its members. */
export type OptionsOf<T, Without extends keyof T = never> = CamelOptions<Omit<T, Without>> & CallOptions
