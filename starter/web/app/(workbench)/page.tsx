/** The start page: the workbench without a run. */
export default function StartPage() {
  return null
}
