/**
 * Validation of inputs by any library that speaks Standard Schema (Zod, Valibot, ArkType …), without one here.
 */

import { NonRetryable } from './signals.js'

/** The part of the Standard Schema interface (version 1) that is used. */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Validated<Output> | Promise<Validated<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

type Validated<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: readonly unknown[] | undefined }[] }

/** The input as the schema has it. @throws NonRetryable naming the first thing that is wrong. */
export async function validated<Output>(schema: StandardSchema<Output>, input: unknown): Promise<Output> {
  const result = await schema['~standard'].validate(input)
  if (result.issues === undefined) return result.value
  const [first] = result.issues
  const place = ['input', ...(first?.path ?? []).map(keyOf)].join('.')
  throw new NonRetryable(`${place}: ${first?.message ?? 'is not valid'}`)
}

function keyOf(part: unknown): string {
  return typeof part === 'object' && part !== null && 'key' in part ? String(part.key) : String(part)
}
