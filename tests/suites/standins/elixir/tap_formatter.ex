defmodule TapFormatter do
  @moduledoc "Prints what comes of each test as TAP."
  use GenServer

  def init(_options), do: {:ok, nil}

  def handle_cast({:test_finished, test}, state) do
    name = "#{inspect(test.module)}: #{test.name}"

    case test.state do
      nil -> IO.puts("ok - #{name}")
      {:failed, failures} -> IO.puts("not ok - #{name}\n" <> details(test, failures))
      {_skipped_or_excluded, _} -> IO.puts("ok - #{name} # SKIP")
    end

    {:noreply, state}
  end

  def handle_cast(_event, state), do: {:noreply, state}

  defp details(test, failures) do
    text = ExUnit.Formatter.format_test_failure(test, failures, 1, 120, fn _, text -> text end)
    text |> String.split("\n") |> Enum.map_join("\n", &("# " <> &1))
  end
end
