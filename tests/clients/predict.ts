// A program over the types that openapi-typescript makes for the predictor draw_quickly.
import type { components, paths } from "./schema";

type Predict = paths["/predictions"]["post"];
type Answer = Predict["responses"][200]["content"]["application/json"];
type Refusal = Predict["responses"][422]["content"]["application/json"];

const request: components["schemas"]["PredictionRequest"] = {
  input: { prompt: "a red apple", num_outputs: 2, output_quality: 90, output_format: "png" },
  webhook_events_filter: ["completed"],
};

// @ts-expect-error: the prompt is required
export const empty: components["schemas"]["Input"] = {};

// @ts-expect-error: no such format
export const format: components["schemas"]["output_format"] = "gif";

export async function predict(url: string): Promise<string[]> {
  const response = await fetch(`${url}/predictions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(request),
  });
  if (response.status === 422) {
    const refusal: Refusal = await response.json();
    throw new Error(refusal.detail?.map((violation) => violation.msg).join(", "));
  }
  const answer: Answer = await response.json();
  const status: "starting" | "processing" | "succeeded" | "canceled" | "failed" = answer.status;
  if (status !== "succeeded") {
    throw new Error(answer.error);
  }
  return answer.output ?? [];
}
